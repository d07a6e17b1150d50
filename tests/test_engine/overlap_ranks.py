"""What the two processes of test_overlap run."""
from unittest import mock

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import SGD

from mmdeepkd.engine import DeepKDOptimWrapper, gradients

from .two_ranks import build, data, result

UPDATES = 4

# Who lacks what in which update, {(rank, update): names}: streams, 'head' (the
# second one), 'body' (frozen), or 'constant' (no loss has a gradient). None as
# a rank means both.
NOTHING = {}
PLANS = {
    'all': NOTHING,
    'missing first': {(1, 0): ['target']},
    'missing later': {(1, 2): ['target']},
    'missing everywhere': {(None, 2): ['target']},
    'met late': {(None, 0): ['target'], (0, 1): ['target']},
    'other streams': {(0, 1): ['target'], (1, 1): ['task', 'non_target']},
    'no loss first': {(1, 0): ['task', 'target', 'non_target']},
    'no loss later': {(1, 2): ['task', 'target', 'non_target']},
    'constant': {(0, 2): ['constant']},
    'constant everywhere': {(None, 2): ['constant']},
    'no second head': {(1, u): ['head'] for u in range(UPDATES)},
    'second head late': {
        (None, 0): ['head'], (None, 1): ['head'], (1, 2): ['head']},
    'frozen': {(None, 2): ['body']},
}


def missing(plan, rank, update):
    return [*plan.get((rank, update), []), *plan.get((None, update), [])]


def streams(model, step, part, lacks):
    """The losses of half a batch."""
    model.body.requires_grad_('body' not in lacks)
    out = model(**data(step, part, 'head' not in lacks))
    found = model.parse_losses(out)[0].streams
    if 'constant' in lacks:
        return {name: loss.detach() for name, loss in found.items()}
    return {k: v for k, v in found.items() if k not in lacks}


def iterate(wrapper, losses, overlap):
    """One iteration, by update_params or by hand."""
    if overlap:
        wrapper.update_params(losses)
        return
    wrapper.backward(wrapper.scale_loss(losses))
    if wrapper.should_update():
        wrapper.step()
        wrapper.zero_grad()


def train(rank, overlap, plan, options, resume_at=None):
    model, wrapper = build(**options)
    counts = options.get('accumulative_counts', 1)
    for step in range(UPDATES * counts):
        if step == resume_at:
            state = wrapper.state_dict()
            wrapper = build(**options)[1]
            wrapper = rebuilt(model, wrapper, state)
        lacks = missing(plan, rank, step // counts)
        iterate(wrapper, streams(model, step, rank, lacks), overlap)
    return result(model, wrapper)


def rebuilt(model, other, state):
    """A wrapper as ``other`` for the model, with a saved state."""
    settings = other.optimizer.defaults
    wrapper = DeepKDOptimWrapper(
        SGD(model.parameters(), lr=settings['lr'],
            momentum=settings['momentum'],
            weight_decay=settings['weight_decay']), delta=0.05)
    wrapper.load_state_dict(state)
    return wrapper


def train_alone(plan, options):
    """Both halves by accumulation: the mean over the ranks."""
    options = dict(options)
    counts = options.pop('accumulative_counts', 1)
    model, wrapper = build(accumulative_counts=2 * counts, **options)
    for step in range(UPDATES * counts):
        for part in range(2):
            lacks = missing(plan, part, step // counts)
            wrapper.update_params(streams(model, step, part, lacks))
    return result(model, wrapper)


def train_in_small_chunks(rank, *args):
    with mock.patch.object(gradients, '_CHUNK_BYTES', 64):
        return train(rank, *args)


def events(rank, overlap, options, plan=NOTHING):
    """Return what happens in each update, in order.

    A backward with the number of gradients held before it, and every
    all-reduce with its kind and bytes.
    """
    model, wrapper = build(**options)
    seen = []
    grad, reduce = torch.autograd.grad, dist.all_reduce

    def noted_grad(*args, **kwargs):
        seen[-1].append(('backward', sum(
            g is not None for held in wrapper._held.streams.values()
            for g in held)))
        return grad(*args, **kwargs)

    def noted_reduce(tensor, **kwargs):
        kind = 'gradients' if tensor.is_floating_point() else 'counts'
        seen[-1].append((kind, tensor.numel() * tensor.element_size()))
        return reduce(tensor, **kwargs)

    with mock.patch.object(torch.autograd, 'grad', noted_grad), \
            mock.patch.object(dist, 'all_reduce', noted_reduce):
        for update in range(UPDATES):
            seen.append([])
            lacks = missing(plan, rank, update)
            iterate(wrapper, streams(model, update, rank, lacks), overlap)
    return seen


def sum_of_steps_without_zero_grad(rank):
    """Two steps on gradients that add up, as ``p.grad`` does."""
    model, wrapper = build(clip_grad=dict(max_norm=0.01))
    for step in range(3):
        wrapper.backward(streams(model, step, rank, []))
        wrapper.step()
    return result(model, wrapper)


def strides_of_gradients(rank):
    """Return the strides of parameters and of what the optimizer gets."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2)).to(
        memory_format=torch.channels_last)
    wrapper = DeepKDOptimWrapper(
        SGD(net.parameters(), lr=0.1, momentum=0.9), delta=0.05)
    found = []
    step = wrapper.optimizer.step

    def noted_step(stream_grads):
        found.append([g.stride() for values in stream_grads.values()
                      for g in values])
        step(stream_grads=stream_grads)

    with mock.patch.object(wrapper.optimizer, 'step', noted_step):
        for _ in range(2):
            out = net(torch.ones(2, 3, 3, 3))
            wrapper.update_params(
                dict(task=out.mean(), target=out[:, 0].mean()))
    return [p.stride() for p in net.parameters()] * 2, found
