"""Runs that train adapters, interrupted and resumed, bit for bit."""
import pytest

from .diffkd_runs import (
    classifier_in_bf16,
    classifier_of_both,
    one_stage_detector,
    two_stage_detector,
)
from .runs import assert_same_run, go_through_and_resume

# Of each: iterations, that of the interruption, the first after the resume.
RUNS = {
    one_stage_detector: (12, 7, 6),
    two_stage_detector: (12, 7, 6),
    classifier_of_both: (24, 13, 12),
    classifier_in_bf16: (24, 13, 12),
}
AVERAGED = (two_stage_detector, classifier_in_bf16)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """MMEngine's loop by iteration sleeps whenever the data begin anew."""
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda s: None)


def drawn(state):
    return {name: int(value) for name, value in state.items()
            if name.endswith('num_draws')}


@pytest.mark.parametrize('run', RUNS, ids=lambda run: run.__name__)
def test_the_resumed_run_is_the_uninterrupted_one(run, tmp_path):
    """Adapters, their draws and their momenta among the rest."""
    iterations, stop, first = RUNS[run]
    straight, resumed = go_through_and_resume(run(tmp_path), tmp_path, stop)
    averaged = ['ema_state_dict'] if run in AVERAGED else []
    assert_same_run(straight, resumed,
                    ['state_dict', 'optimizer', *averaged])

    assert list(resumed[1]) == list(range(first, iterations))
    # EMAHook saves what was trained under the other name.
    trained = resumed[0]['ema_state_dict' if averaged else 'state_dict']
    counts = drawn(trained)
    assert counts and set(counts.values()) == {iterations}
