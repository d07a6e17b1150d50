"""Every registered loss at the end of float16's range, under autocast."""
import pytest
import torch

from mmdeepkd import losses as room
from mmdeepkd.registry import MODELS
from tests.helpers.float16 import AUTOCAST

# Every option that changes the formula.
CONFIGS = [
    dict(type='KDLoss'),
    dict(type='KDLoss', standardize=True),
    dict(type='DKDLoss'),
    dict(type='DeepKDLoss'),
    dict(type='DeepKDLoss', base='dkd', topk=2),
    dict(type='DeepKDLoss', semantics='released', topk=2),
    dict(type='GDKDLoss', k=2),
    dict(type='GDKDLoss', k=2, kl_type='reverse'),
    dict(type='GDKD3Loss', k=3),
    dict(type='GDKDAutoWLoss', k=2),
    dict(type='LSGDKDLoss', k=2),
    dict(type='GDKDSLoss'),
    dict(type='DKDModLoss', split='top1', kl_type='both'),
    dict(type='DISTLoss', temperature=1.0),
    dict(type='ForegroundLoss', loss=dict(type='mmdeepkd.DKDLoss')),
    dict(type='MLKDLoss'),
    dict(type='CRLDLoss'),
    dict(type='CRLDLoss', base='dkd'),
]


def test_no_loss_is_left_out():
    assert {config['type'] for config in CONFIGS} == {
        name for name in room.__all__
        if not getattr(vars(room)[name], 'needs_adapter', False)
    }


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('config', CONFIGS, ids=str)
def test_finite_at_the_end_of_float16_under_autocast(config, dtype):
    loss = MODELS.build({**config, 'type': f'mmdeepkd.{config["type"]}'})
    signs = 6e4 * torch.tensor([[1, -1, 1, 0, -1], [-1, -1, -1, -1, 1],
                                [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    index = torch.cartesian_prod(*[torch.arange(4)] * 4).t()
    student = [signs[i].to(dtype).requires_grad_() for i in index[:2]]
    teacher = [signs[i].to(dtype) for i in index[2:]]
    pair = (student, teacher) if loss.views == 2 else (student[0], teacher[1])

    with torch.autocast('cpu', AUTOCAST):
        values = loss(*pair, torch.arange(256) % 5)

    for value in values.values():
        assert value.dtype == torch.float32
        assert value.isfinite()
        for grad in torch.autograd.grad(
                value, student[:loss.views], retain_graph=True):
            assert grad.isfinite().all()
