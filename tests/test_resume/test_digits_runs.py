"""The digits configs, interrupted and resumed, bit for bit."""
import pytest

from .digits_runs import classification_config, detection_config
from .runs import assert_same_run, go_through_and_resume


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """MMEngine's loop by iteration sleeps whenever the data begin anew."""
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda s: None)


@pytest.mark.parametrize('workers, iterations', [(0, None), (1, 2)])
def test_a_detector_with_streams_of_sgd(workers, iterations, tmp_path):
    cfg = detection_config(tmp_path, workers, iterations)
    straight, resumed = go_through_and_resume(cfg, tmp_path, stop=7)
    assert_same_run(straight, resumed)

    # A flipped image is another one, and K grows.
    pixels = [value[0] for value in straight[1].values()]
    assert len({float(p.double().sum()) for p in pixels}) > 2
    assert len({value[2][0] for value in straight[1].values()}) > 2
    assert list(resumed[1]) == [6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize('workers, iterations', [(1, None), (0, 4)])
def test_a_classifier_in_bf16_with_average_and_accumulation(
        workers, iterations, tmp_path):
    cfg = classification_config(tmp_path, workers, iterations)
    straight, resumed = go_through_and_resume(cfg, tmp_path, stop=13)
    assert_same_run(straight, resumed, ['state_dict', 'optimizer',
                                        'ema_state_dict'])

    assert list(resumed[1]) == list(range(12, 24))
