"""Two gloo processes give what one process gives on the joined batch."""
import pytest

from tests.helpers.gloo import run_ranks
from tests.helpers.toys import difference, equal

from .two_ranks import (
    buffers_in_forward,
    build,
    lose_a_loss_on_one_rank,
    overflow_on_one_rank,
    run_all,
    stop_by_the_hook,
    train_alone,
    train_in_small_buckets,
    train_rank,
    train_unreduced,
)

UNUSED = dict(freeze=False)
FIND = dict(find_unused_parameters=True)
EQUAL = {
    'streams': (dict(), dict()),
    'plain': (dict(plain=True), dict()),
    'clip': (dict(clip_grad=dict(max_norm=0.01)), dict()),
    'accumulation': (dict(accumulative_counts=2), dict()),
    'accumulation and clip': (dict(
        accumulative_counts=2, clip_grad=dict(max_norm=0.01)), dict()),
    'every stream alone': (dict(merge=False), dict()),
    'unused parameters': (UNUSED, FIND),
    'static graph': (dict(), dict(static_graph=True)),
    'half precision': (dict(amp=True), dict()),
    'a rank misses a head': (dict(), FIND, (True, False)),
    'AdamW': (dict(adamw=True), dict()),
    'AdamW, clip, unused': (dict(
        adamw=True, clip_grad=dict(max_norm=0.01), **UNUSED), FIND),
    'AdamW, accumulation, half': (dict(
        adamw=True, accumulative_counts=2, amp=True), dict()),
    'AdamW, a rank misses a head': (dict(adamw=True), FIND, (True, False)),
}
CASES = {
    **{name: (train_rank, *args) for name, args in EQUAL.items()},
    'buffers broadcast': (buffers_in_forward, True),
    'buffers apart': (buffers_in_forward, False),
    'unreduced': (train_unreduced, ),
    'small buckets': (train_in_small_buckets, ),
    'overflow': (overflow_on_one_rank, ),
    'hook': (stop_by_the_hook, ),
    'loss, raise': (lose_a_loss_on_one_rank, 'raise'),
    'loss, skip': (lose_a_loss_on_one_rank, 'skip'),
    'constant loss, raise': (lose_a_loss_on_one_rank, 'raise', False),
    'constant loss, skip': (lose_a_loss_on_one_rank, 'skip', False),
}


@pytest.fixture(scope='module')
def ranks():
    first, second = run_ranks(run_all, CASES, timeout=200)
    return {name: (first[name], second[name]) for name in CASES}


def check_equal(ranks, alone):
    assert equal(ranks[0]['weights'], ranks[1]['weights'])
    assert equal(ranks[0]['momentum'], ranks[1]['momentum'])
    for key in ('weights', 'momentum'):
        assert len(ranks[0][key]) == len(alone[key]) > 0
        assert difference(ranks[0][key], alone[key]) <= 1e-6


@pytest.mark.parametrize('name', EQUAL)
def test_two_processes_equal_one(ranks, name):
    options, _, *heads = EQUAL[name]

    check_equal(ranks[name], train_alone(options, *heads))


def test_several_buckets_equal_one(ranks):
    check_equal(ranks['small buckets'], train_alone({}))


def test_the_comparison_notices_a_stream_that_is_not_reduced(ranks):
    with pytest.raises(AssertionError):
        check_equal(ranks['unreduced'], train_alone({}))


def test_a_parameter_that_no_rank_reaches_is_not_decayed(ranks):
    untouched = list(build(**UNUSED)[0].unused.parameters())

    assert all(equal(rank['weights'][-2:], untouched)
               for rank in ranks['unused parameters'])


def test_ddp_broadcasts_the_buffers_of_batch_norm(ranks):
    assert equal(*ranks['buffers broadcast'])
    assert not equal(*ranks['buffers apart'])


def test_an_overflow_on_one_rank_skips_the_step_on_both(ranks):
    for before, after in ranks['overflow']:
        assert equal(before['weights'], after['weights'])
        assert equal(before['momentum'], after['momentum'])


@pytest.mark.parametrize('kind', ['loss', 'constant loss'])
def test_a_nan_on_one_rank_stops_both_and_is_named_by_both(ranks, kind):
    for message in ranks[f'{kind}, raise']:
        assert message.startswith(
            'iteration 2: the loss target (stream target) is nan on rank 1; '
            'training stops')


def test_the_hook_of_mmengines_wrappers_stops_both(ranks):
    for message in ranks['hook']:
        assert message.startswith(
            'iteration 7: the loss loss_cls (stream plain) is nan on rank 1; ')


@pytest.mark.parametrize('kind', ['loss', 'constant loss'])
def test_a_nan_on_one_rank_is_skipped_by_both(ranks, kind):
    first, second = ranks[f'{kind}, skip']
    for rank in (first, second):
        assert rank['skipped'] == 1
        # The statistics of BatchNorm, too.
        assert equal(rank['before'], rank['after'])
    assert equal(first['later'], second['later'])
    assert not equal(first['before'][:2], first['later'][:2])


def test_a_rank_that_fails_fails_the_caller():
    # Rank 1 asks for what is not there.
    with pytest.raises(RuntimeError, match='(?s)rank 1 failed.*IndexError'):
        run_ranks(['one'].__getitem__, timeout=60)
