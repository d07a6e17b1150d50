"""What a backward of the wrapper traverses, and what stays in memory."""
import weakref
from unittest import mock

import pytest
import torch
from torch import nn
from torch.optim import SGD

from mmdeepkd.engine import DeepKDOptimWrapper, gradients
from mmdeepkd.engine.held_gradients import HeldGradients, accumulate
from tests.helpers.toys import difference, equal, toy_batch, weights

SHAPES = [(3, 2), (4, ), (), (2, 2)]


class TwoBranches(nn.Module):
    """A body; a branch (as the RPN) and a head, both of which task reaches."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(6, 8)
        self.branch = nn.Sequential(nn.Linear(8, 8), nn.Sigmoid(),
                                    nn.Linear(8, 1))
        self.head = nn.Linear(8, 5)
        self.traversed = []

    def noted(self, name, value):
        value.register_hook(lambda grad: self.traversed.append(name))
        return value

    def forward(self, x):
        body = self.noted('body', self.body(x).tanh())
        branch = self.noted('branch', self.branch(body))
        logits = self.noted('head', self.head(body))
        return branch, logits


def losses_of(branch, logits):
    return dict(
        task=branch.square().mean() + logits.square().mean(),
        target=logits[:, 0].sin().mean(),
        non_target=logits[:, 1:].exp().mean())


def wrap(net, **kwargs):
    return DeepKDOptimWrapper(
        SGD(net.parameters(), lr=0.1, momentum=0.9), delta=0.05, **kwargs)


def batch(step=0):
    return toy_batch(step, 8, torch.float)


@pytest.mark.parametrize(('merge', 'backwards'), [(True, 2), (False, 3)])
def test_only_what_a_stream_reaches_is_traversed(merge, backwards):
    net = TwoBranches()
    wrap(net, merge=merge).update_params(losses_of(*net(batch())))

    assert net.traversed.count('body') == backwards
    assert net.traversed.count('head') == backwards
    assert net.traversed.count('branch') == 1


class Box:
    """A tensor that the graph has saved; it dies with its place there."""

    def __init__(self, tensor):
        self.tensor = tensor


def saved_by(forward):
    """Run a forward; return its result and what its graph has saved."""
    saved = []

    def pack(tensor):
        box = Box(tensor)
        saved.append(weakref.ref(box))
        return box

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda b: b.tensor):
        result = forward()
    return result, saved


def alive(saved):
    return sum(box() is not None for box in saved)


@pytest.mark.parametrize('merge', [True, False])
def test_no_activation_of_the_net_is_held_during_the_step(merge):
    net = TwoBranches()
    wrapper = wrap(net, merge=merge)
    # The few numbers that a loss itself saves live as long as the loss.
    outputs, saved = saved_by(lambda: net(batch()))
    losses = losses_of(*outputs)
    assert alive(saved) > 5
    step, seen = wrapper.optimizer.step, []

    def noted_step(**kwargs):
        seen.append(alive(saved))
        step(**kwargs)

    with mock.patch.object(wrapper.optimizer, 'step', noted_step):
        wrapper.update_params(losses)

    # The caller still has the losses, as MMEngine's train_step does.
    assert losses and seen == [0]


def random_lists(count, empty=()):
    generator = torch.Generator().manual_seed(1)
    return [[None if (step, i) in empty else
             torch.randn(shape, generator=generator)
             for i, shape in enumerate(SHAPES)] for step in range(count)]


@pytest.mark.parametrize('chunk', [1, 2**20])
def test_gradients_are_accumulated_as_a_sum_bit_for_bit(monkeypatch, chunk):
    monkeypatch.setattr(gradients, '_CHUNK_BYTES', chunk)
    lists = random_lists(5, {(0, 1), (2, 1), (1, 2), *(
        (step, 3) for step in range(5))})
    expected = [sum(g for g in values if g is not None)
                if any(g is not None for g in values) else None
                for values in zip(*lists)]
    held, owned = list(lists[0]), set()
    for grads in lists[1:]:
        accumulate(held, grads, owned)

    assert held[3] is None and equal(held[:3], expected[:3])
    # Nothing of an iteration outlives its addition.
    assert all(g is None for grads in lists[1:] for g in grads)


def test_accumulation_changes_no_tensor_of_others():
    first, later, late = torch.ones(3), torch.ones(1), torch.ones(3)
    held, owned = [first, first, None], set()
    for _ in range(3):
        accumulate(held, [later.expand(3), first, late], owned)

    for tensor in (first, later, late):
        assert equal([tensor], [torch.ones_like(tensor)])
    assert [float(g[0]) for g in held] == [4., 4., 3.]


def test_sums_are_added_to_in_place():
    first, second, third, fourth = random_lists(4)
    held, owned = first, set()
    accumulate(held, second, owned)
    sums = list(held)
    accumulate(held, third, owned)
    accumulate(held, fourth, owned)

    assert all(a is b for a, b in zip(held, sums))


def test_a_gradient_that_comes_after_a_sum_was_dropped_is_not_ours():
    held, owned = [torch.ones(3)], set()
    accumulate(held, [torch.ones(3)], owned)
    held[0], late = None, torch.ones(3)
    accumulate(held, [late], owned)
    accumulate(held, [torch.ones(3)], owned)

    assert equal([late], [torch.ones(3)])
    assert equal(held, [torch.full((3, ), 2.)])


def test_accumulated_iterations_are_not_held_while_the_next_is_taken():
    net = TwoBranches()
    wrapper = wrap(net, accumulative_counts=3)
    given, counts = [], []
    add, grad = HeldGradients.add, torch.autograd.grad

    def noted_add(self, stream, grads):
        given.extend(weakref.ref(g) for g in grads if g is not None)
        add(self, stream, grads)

    def noted_grad(*args, **kwargs):
        counts.append(alive(given))
        return grad(*args, **kwargs)

    with mock.patch.object(HeldGradients, 'add', noted_add), \
            mock.patch.object(torch.autograd, 'grad', noted_grad):
        for step in range(3):
            wrapper.update_params(losses_of(*net(batch(step))))

    # target reaches four parameters, task eight: then they are in the sums.
    assert counts == [0, 4, 12, 8, 0, 0]


def test_accumulation_of_shared_gradients_trains_as_one_batch():
    results = []
    for counts in (1, 4):
        params = [nn.Parameter(torch.ones(4)) for _ in range(2)]
        wrapper = DeepKDOptimWrapper(
            SGD(params, lr=1., momentum=0.9), delta=0.05,
            accumulative_counts=counts)
        # Twice: nothing of the first update may be taken for one's own.
        for _ in range(2 * counts):
            # Autograd gives both one and the same expanded tensor.
            total = (params[0] + params[1]).sum()
            wrapper.update_params(dict(task=total, target=total * 2))
        results.append(weights(nn.ParameterList(params)))

    assert difference(*results) <= 1e-6


def test_gradients_are_multiplied_chunk_by_chunk_and_as_tensors_of_their_own(
        monkeypatch):
    monkeypatch.setattr(gradients, '_CHUNK_BYTES', 1)
    (whole, ), shared = random_lists(1), torch.ones(2)
    factor = torch.tensor(0.3)
    expected = [g * factor for g in whole]
    mine, released = [*whole, None, shared, shared], weakref.ref(whole[0])
    del whole
    scaled = gradients.multiplied(mine, factor)

    # What came in is released while the rest is still to be done.
    assert scaled is mine and released() is None
    assert equal(mine[:4], expected) and mine[4] is None
    assert equal(mine[5:], [shared * factor] * 2) and shared[0] == 1
