"""Two gloo processes measure what one does on the joined batch."""
import pytest
import torch

from tests.helpers.gloo import run_ranks
from tests.helpers.toys import (
    difference,
    equal,
    toy_batch,
    toy_net,
    toy_streams,
)

from .gsnr_ranks import CASES, measure, run_all
from .stream_runs import BATCH, reports


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('ranks')


@pytest.fixture(scope='module')
def ranks(folder):
    return run_ranks(run_all, folder, timeout=100)


@pytest.mark.parametrize('name', CASES)
def test_two_processes_measure_what_one_does(ranks, tmp_path, name):
    model, wrapper = CASES[name]
    alone = measure(model, tmp_path, BATCH, wrapper)
    first, second = (rank['measured'][name] for rank in ranks)

    assert len(alone) == 2
    assert first == second
    for mine, other in zip(first, alone):
        assert list(mine) == list(other)
        assert mine == pytest.approx(other, rel=2e-3)


def test_only_the_first_rank_writes(ranks, folder):
    for name in CASES:
        written = reports(folder / name)
        measured = ranks[0]['measured'][name]

        assert len(written) == len(measured) == 2
        assert written[0].items() >= measured[0].items()


@pytest.mark.parametrize('case, stream', [
    ('missing', 'non_target'), ('leader', 'task')])
def test_a_stream_that_one_rank_lacks(ranks, case, stream):
    net = toy_net()
    half = toy_batch(0).chunk(2)[0]
    grads = torch.autograd.grad(
        toy_streams(net, half)[stream], list(net.parameters()))
    # Zero on the other rank.
    expected = [grad / 2 for grad in grads]
    for rank in ranks:
        shown, _ = rank[case][0]
        assert list(shown) == ['task', 'target', 'non_target']
        assert difference(shown[stream], expected) <= 1e-14
        assert all(g is None or not g.any() for g in shown['target'])
    assert stream in ranks[0][case][0][1]
    assert stream not in ranks[1][case][0][1]


def test_the_training_of_two_processes_is_the_same_to_the_bit(ranks):
    for rank in ranks:
        observed, alone = (rank['trained'][n] for n in ('observed', 'alone'))
        assert len(alone) > 6 and equal(observed, alone)


def test_a_rank_without_logits_stays_in_step(ranks):
    first, second = (rank['empty'] for rank in ranks)

    assert len(first) == 2 and first == second
    assert 0 < first[0]['agreement'] <= 1
