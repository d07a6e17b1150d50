"""Toy nets whose loss has gradient streams, and what optimizes them."""
import torch
from torch import nn

STREAMS = ('task', 'target', 'non_target')
DELTAS = dict(task=0.05, target=-0.05, non_target=0.05)


def toy_net(seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5)).to(dtype)


def toy_batch(step=0, size=8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1000 + step)
    return torch.randn(size, 6, generator=generator, dtype=torch.float64).to(
        dtype)


def toy_streams(net, x):
    """Three losses that are means over the batch."""
    out = net(x)
    return dict(
        task=(out - 1).square().mean(),
        target=out[:, 0].sin().mean(),
        non_target=(out[:, 1:].exp() * 0.1).mean())


def with_streams(losses):
    """The total as a distiller's ``parse_losses`` returns it."""
    total = sum(losses.values())
    total.streams = losses
    return total


def spoil_gradient(value, factor):
    """Return the value as it is; its gradient is multiplied by factor."""
    value = value * 1
    value.register_hook(lambda grad: grad * factor)
    return value


def weights(net):
    return [p.detach().clone() for p in net.parameters()]


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second))


def difference(first, second):
    return max(float((a - b).abs().max()) for a, b in zip(first, second))


def stream_lists(params, step, streams=STREAMS, missing=0.0):
    """Random gradients per stream, some of them None."""
    generator = torch.Generator().manual_seed(step)
    return {
        stream: [
            None if torch.rand((), generator=generator) < missing else
            torch.randn(p.shape, generator=generator,
                        dtype=torch.float64).to(p.dtype) for p in params
        ]
        for stream in streams
    }


def summed(grads):
    """The gradient of the sum of the streams, per parameter."""
    total = []
    for values in zip(*grads.values()):
        present = [v for v in values if v is not None]
        total.append(sum(present[1:], present[0]) if present else None)
    return total
