"""DiffKD's random numbers: fixed by the run, apart from all others."""
import copy
import random

import numpy as np
import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict

from mmdeepkd.losses.diffkd import RandomDraws
from tests.helpers.diffkd import cases


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def next_draws(module, place='map', shape=(2, 3, 2, 2), dtype=torch.float32):
    return module.draws(shape, dtype, torch.device('cpu'), place)


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second))


def different(first, second):
    return not any(torch.equal(a, b) for a, b in zip(first, second))


def test_the_numbers_are_normal_and_uniform():
    noise, other, steps = next_draws(RandomDraws(), shape=(4000, 2, 1, 1))

    for found in (noise, other):
        assert abs(found.mean()) < 0.05 and abs(found.std() - 1) < 0.05
    assert steps.dtype == torch.int64 and steps.shape == (4000, )
    assert steps.min() >= 0 and 990 < steps.max() < 1000
    assert abs(steps.double().mean() - 499.5) < 20


def test_drawn_in_the_precision_asked_for():
    draws = next_draws(RandomDraws(), dtype=torch.float64)

    assert draws.noise.dtype == draws.adapter_noise.dtype == torch.float64


def test_equal_runs_draw_equal_numbers():
    first, second = RandomDraws(), RandomDraws()

    for _ in range(3):
        assert equal(next_draws(first), next_draws(second))


def test_every_draw_is_another():
    module = RandomDraws()

    assert different(next_draws(module), next_draws(module))
    assert module.num_draws == 2


def test_seeds_and_places_differ():
    first = next_draws(RandomDraws())

    assert different(first, next_draws(RandomDraws(), 'level0'))
    torch.manual_seed(4)
    assert different(first, next_draws(RandomDraws()))


def test_what_else_was_drawn_does_not_matter():
    first = next_draws(RandomDraws())
    torch.randn(7)

    assert equal(first, next_draws(RandomDraws()))


def test_ranks_draw_different_numbers(monkeypatch):
    alone = next_draws(RandomDraws())
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    found = []
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, 'get_rank',
                            lambda rank=rank: rank)
        found.append(next_draws(RandomDraws()))

    assert different(*found)
    assert equal(found[0], alone)


@pytest.mark.parametrize('kind', ['maps', 'logits'])
def test_no_other_generator_is_used(kind):
    loss, adapter, student, teacher = cases()[kind]
    before = (torch.get_rng_state(), random.getstate(),
              np.random.get_state()[1].copy())

    terms = loss(adapter, student, teacher, place='here')
    sum(terms.losses.values()).backward()

    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert (np.random.get_state()[1] == before[2]).all()


def test_in_eval_mode_the_same_is_drawn_again():
    module = RandomDraws().eval()

    assert equal(next_draws(module), next_draws(module))
    assert module.num_draws == 0


@pytest.mark.parametrize('load', [
    lambda module, state: module.load_state_dict(state),
    lambda module, state: load_state_dict(module, state, strict=True),
], ids=['torch', 'mmengine'])
def test_a_resumed_module_draws_what_the_straight_one_does(load):
    straight = torch.nn.ModuleDict(dict(map=RandomDraws()))
    for _ in range(3):
        next_draws(straight['map'])
    state = straight.state_dict()
    resumed = torch.nn.ModuleDict(dict(map=RandomDraws()))

    load(resumed, state)

    assert list(state) == ['map.num_draws']
    assert state['map.num_draws'].dtype == torch.int64
    assert resumed['map'].num_draws == 3
    assert equal(next_draws(straight['map']), next_draws(resumed['map']))
    # A state that was taken does not move on with the module.
    assert state['map.num_draws'] == 3


def test_a_file_without_the_number_is_noticed():
    missing = RandomDraws().load_state_dict({}, strict=False).missing_keys

    assert missing == ['num_draws']
    with pytest.raises(RuntimeError, match='Missing key.*num_draws'):
        RandomDraws().load_state_dict({})
    with pytest.raises(RuntimeError, match='Unexpected key.*other'):
        RandomDraws().load_state_dict(
            dict(num_draws=torch.tensor(1), other=torch.tensor(1)))


def test_a_copy_goes_on_by_itself():
    module = RandomDraws()
    next_draws(module)
    twin = copy.deepcopy(module)

    assert equal(next_draws(module), next_draws(twin))
    next_draws(module)
    assert (module.num_draws, twin.num_draws) == (3, 2)
