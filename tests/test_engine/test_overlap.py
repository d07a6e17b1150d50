"""Streams sent while the backward goes on: the numbers, bytes and order."""
import pytest

from tests.helpers.gloo import run_ranks
from tests.helpers.toys import difference, equal

from .overlap_ranks import (
    NOTHING,
    PLANS,
    UPDATES,
    events,
    streams,
    strides_of_gradients,
    sum_of_steps_without_zero_grad,
    train,
    train_alone,
    train_in_small_chunks,
)
from .two_ranks import build, run_all

CLIP = dict(clip_grad=dict(max_norm=0.01))
OPTIONS = {
    **{name: (plan, dict(freeze=False)) for name, plan in PLANS.items()},
    **{f'{name}, clip': (PLANS[name], CLIP) for name in PLANS},
    **{f'{name}, accumulation': (
        PLANS[name], dict(accumulative_counts=3, **CLIP))
       for name in ('all', 'missing later', 'frozen')},
    **{f'{name}, merge=False': (PLANS[name], dict(merge=False))
       for name in ('all', 'met late', 'other streams')},
    **{f'{name}, half': (PLANS[name], dict(amp=True, **CLIP))
       for name in ('all', 'met late', 'constant', 'constant everywhere')},
    'AdamW': (PLANS['met late'], dict(adamw=True)),
}
PAIR, ALL = dict(), dict(merge=False)
CASES = {
    **{(name, overlap): (train, overlap, *args)
       for name, args in OPTIONS.items() for overlap in (True, False)},
    'small chunks': (train_in_small_chunks, True, PLANS['met late'],
                     dict(freeze=False)),
    'resumed': (train, True, NOTHING, dict(), 2),
    'straight': (train, True, NOTHING, dict()),
    'no zero_grad': (sum_of_steps_without_zero_grad, ),
    'strides': (strides_of_gradients, ),
    **{f'events, {name}, {overlap}': (events, overlap, options)
       for name, options in (('pair', PAIR), ('all', ALL))
       for overlap in (True, False)},
    'events, head': (events, True, PAIR, PLANS['no second head']),
    'events, met late': (events, True, PAIR, PLANS['met late']),
}


@pytest.fixture(scope='module')
def ranks():
    first, second = run_ranks(run_all, CASES, timeout=200)
    return {name: (first[name], second[name]) for name in CASES}


@pytest.mark.parametrize('name', OPTIONS)
def test_overlap_changes_no_bit(ranks, name):
    results = [*ranks[name, True], *ranks[name, False]]

    for key in ('weights', 'momentum'):
        assert len(results[0][key]) > 0
        assert all(equal(results[0][key], other[key]) for other in results)


@pytest.mark.parametrize('name', OPTIONS)
def test_overlapped_ranks_equal_one_process(ranks, name):
    alone = train_alone(*OPTIONS[name])

    for key in ('weights', 'momentum'):
        mine = ranks[name, True][0][key]
        assert len(mine) == len(alone[key]) > 0
        assert difference(mine, alone[key]) <= 1e-6


def test_small_chunks_change_no_bit(ranks):
    for rank in ranks['small chunks']:
        assert equal(rank['weights'], ranks['met late', True][0]['weights'])


def test_a_resumed_run_agrees_anew(ranks):
    for rank, straight in zip(ranks['resumed'], ranks['straight']):
        assert equal(rank['weights'], straight['weights'])
        assert equal(rank['momentum'], straight['momentum'])


def test_gradients_add_up_until_zero_grad(ranks):
    first, second = ranks['no zero_grad']
    model, wrapper = build(**CLIP)
    for step in range(3):
        for part in range(2):
            losses = streams(model, step, part, [])
            wrapper.backward({k: v / 2 for k, v in losses.items()})
        wrapper.step()

    assert equal(first['weights'], second['weights'])
    assert difference(first['weights'],
                      [p.detach() for p in model.parameters()]) <= 1e-6


def sizes(options, momenta):
    """Bytes of the gradients of one update, and those of the counts."""
    model, wrapper = build(**options)
    params = list(model.parameters())
    leaders = len(set(wrapper.optimizer.leaders().values()))
    trainable = sum(p.numel() for p in params if p.requires_grad)
    # One stream reaches the second head.
    apart = sum(p.numel() for p in model.second.parameters())
    return (4 * (momenta * trainable - (momenta - 1) * apart),
            8 * (1 + leaders * len(params)))


@pytest.mark.parametrize(('name', 'options', 'momenta'),
                         [('pair', PAIR, 2), ('all', ALL, 3)])
@pytest.mark.parametrize('overlap', [True, False])
def test_sent_are_distinct_momenta_times_parameters(
        ranks, name, options, momenta, overlap):
    size, counts = sizes(options, momenta)
    for seen in ranks[f'events, {name}, {overlap}']:
        assert len(seen) == UPDATES
        for i, update in enumerate(seen):
            sent = [n for kind, n in update if kind == 'gradients']
            assert len(sent) == momenta and sum(sent) == size
            # The first update finds out what there is.
            assert [n for kind, n in update if kind == 'counts'] == (
                [counts] * (2 if i == 0 else 1))


def kinds(update):
    return [kind for kind, _ in update]


def test_a_stream_is_sent_before_the_next_backward(ranks):
    for seen in ranks['events, pair, True']:
        assert kinds(seen[0]) == [
            'backward', 'backward', 'counts', 'gradients', 'gradients',
            'counts']
        for update in seen[1:]:
            assert kinds(update) == [
                'backward', 'gradients', 'backward', 'gradients', 'counts']


def test_what_is_sent_is_not_held(ranks):
    for seen in ranks['events, pair, True']:
        for update in seen[1:]:
            assert [n for kind, n in update if kind == 'backward'] == [0, 0]


def test_by_hand_all_is_sent_by_step(ranks):
    for seen in ranks['events, pair, False']:
        for update in seen[1:]:
            assert kinds(update) == [
                'backward', 'backward', 'gradients', 'gradients', 'counts']


def test_a_head_that_one_rank_misses_is_sent_without_asking_again(ranks):
    for seen in ranks['events, head']:
        for update in seen[1:]:
            assert kinds(update).count('counts') == 1


def test_a_stream_met_late_is_sent_late_once(ranks):
    late = [kinds(update) for update in ranks['events, met late'][1]]

    assert late[1] == ['backward', 'backward', 'gradients', 'counts',
                       'gradients', 'counts']
    assert late[2] == late[3] == [
        'backward', 'gradients', 'backward', 'gradients', 'counts']


def test_reduced_gradients_have_the_memory_format_of_parameters(ranks):
    for expected, found in ranks['strides']:
        assert expected[0] == (27, 1, 9, 3)
        assert found == [expected, expected]
