"""Two processes that train adapters give what one gives.

On a batch's two halves statistics of BatchNorm and random draws differ from
those of the whole: where the two are compared BatchNorm is in eval mode, and
the noise of a sample depends on the sample alone. Of a detector (Faster R-CNN
with DeepKD on RoIs and DiffKD on five levels) the number that each loss is
divided by is made the same in both halves, proposals are fixed, and samplers
draw nothing. As shipped mmdet divides by each process's own counts and draws
RoIs in each: there two processes are not one.
"""
import pytest
import torch

from tests.helpers.gloo import run_ranks
from tests.helpers.toys import difference, equal

from .adapter_ranks import (
    DETECTOR,
    STEPS,
    WRAPPERS,
    run_all,
    train_alone,
)

# mmdet adds float32's epsilon to the numbers that it divides by, and takes a
# loss of the RPN in float32.
TOLERANCE = {DETECTOR: 1e-7}


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    return run_ranks(run_all, tmp_path_factory.mktemp('ranks'), timeout=200)


@pytest.mark.parametrize('name', [*WRAPPERS, DETECTOR])
def test_two_processes_equal_one(ranks, name, tmp_path):
    first, second = (rank[name] for rank in ranks)
    alone = train_alone(tmp_path, name)

    for key in ('weights', 'momentum'):
        assert equal(first[key], second[key])
        assert len(first[key]) == len(alone[key]) > 0
        assert difference(first[key], alone[key]) < TOLERANCE.get(name, 1e-10)
    assert any(name.startswith('distill.') for name in alone['names'])


@pytest.mark.parametrize('name', ['own momentum', DETECTOR])
def test_one_half_alone_is_another_training(ranks, name, tmp_path):
    """Of every adapter: what is equal above could differ."""
    both, half = ranks[0][name], train_alone(tmp_path, name, rank=0)
    moved = {
        tensor: difference([a], [b]) for tensor, a, b in zip(
            both['names'], both['weights'], half['weights'])}
    adapters = {tensor.split('.')[2] for tensor in moved
                if tensor.startswith('distill.')}

    assert adapters == ({f'level{i}' for i in range(5)} if name == DETECTOR
                        else {'map', 'logits'})
    assert all(max(change for tensor, change in moved.items()
                   if tensor.startswith('distill.')
                   and tensor.split('.')[2] == adapter) > 1e-6
               for adapter in adapters)


def test_as_it_is_both_have_the_same_weights(ranks):
    first, second = (rank['real'] for rank in ranks)

    assert equal(first['weights'], second['weights'])
    assert equal(first['momentum'], second['momentum'])
    counts = [value for name, value in first['buffers'].items()
              if name.endswith('num_draws')]
    assert counts == [torch.tensor(STEPS)] * 2
    statistics = [name for name in first['buffers']
                  if name.startswith('distill.') and 'running' in name]
    assert statistics and not any(
        torch.equal(first['buffers'][name], second['buffers'][name])
        for name in statistics)


def test_each_process_draws_noise_of_its_own(ranks):
    first, second = (rank['real']['draws'] for rank in ranks)

    assert len(first) == len(second) == 2 * STEPS
    noises = [noise for draws in (first, second) for each in draws
              for noise in each[:2]]
    assert all(not torch.equal(a, b) for i, a in enumerate(noises)
               for b in noises[:i] if a.shape == b.shape)
