"""Parameters are updated together only where all their settings agree."""
import pytest
import torch

from mmdeepkd.engine import DecoupledAdamW, DecoupledSGD
from tests.helpers.toys import DELTAS, difference, stream_lists

DEFAULTS = {
    DecoupledSGD: dict(lr=0.1, momentum=0.9, weight_decay=0.1, dampening=0.,
                       offsets=DELTAS),
    DecoupledAdamW: dict(lr=0.1, betas=(0.9, 0.99), weight_decay=0.1,
                         eps=1e-3, offsets=DELTAS),
}
OTHERS = [
    (DecoupledSGD, dict(lr=0.2)),
    (DecoupledSGD, dict(momentum=0.8)),
    (DecoupledSGD, dict(weight_decay=0.2)),
    (DecoupledSGD, dict(dampening=0.3)),
    (DecoupledSGD, dict(dampening='ema')),
    (DecoupledSGD, dict(offsets=dict(DELTAS, target=-0.1))),
    (DecoupledAdamW, dict(lr=0.2)),
    (DecoupledAdamW, dict(betas=(0.8, 0.99))),
    (DecoupledAdamW, dict(betas=(0.9, 0.9))),
    (DecoupledAdamW, dict(weight_decay=0.2)),
    (DecoupledAdamW, dict(eps=1e-1)),
    (DecoupledAdamW, dict(offsets=dict(DELTAS, target=-0.1))),
]


def parameters(dtype=torch.float64):
    generator = torch.Generator().manual_seed(7)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        for shape in ((3, 2), (4, ))
    ]


def trained(kind, groups):
    """Return the parameters of groups after steps that all groups share."""
    # Merging sums the gradients of all parameters, before any bucket.
    optimizer = kind([dict(group) for group in groups], merge=False,
                     **DEFAULTS[kind])
    params = [p for group in groups for p in group['params']]
    for step in range(5):
        whole = stream_lists(parameters(), step)
        # The same gradients, whether a group is trained alone or not.
        optimizer.step({
            stream: [g.to(p.dtype) for p, g in
                     zip(params, grads * len(groups))]
            for stream, grads in whole.items()
        })
    return params


def check_alone_equals_together(kind, make_groups):
    together = trained(kind, make_groups())
    alone = [p for group in make_groups() for p in trained(kind, [group])]

    assert difference(together, alone) <= 1e-12


@pytest.mark.parametrize(('kind', 'other'), OTHERS, ids=str)
def test_groups_that_differ_in_one_setting_are_two_optimizers(kind, other):
    check_alone_equals_together(kind, lambda: [
        dict(params=parameters()), dict(params=parameters(), **other)])
    check_alone_equals_together(kind, lambda: [
        dict(params=parameters(), **other), dict(params=parameters())])


class OneDtype(torch.overrides.TorchFunctionMode):
    """Fail where torch would leave the fast route of a foreach call."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if 'foreach' in getattr(func, '__name__', ''):
            lists = [value for value in args if isinstance(value, list)]
            assert len({t.dtype for tensors in lists for t in tensors}) == 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('kind', list(DEFAULTS))
def test_parameters_of_two_dtypes_are_two_optimizers(kind):
    with OneDtype():
        check_alone_equals_together(kind, lambda: [
            dict(params=parameters(dtype))
            for dtype in (torch.float32, torch.float64)])
