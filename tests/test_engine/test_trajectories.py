"""A loss under the wrapper against runs of the reference optimizers."""
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from mmdeepkd.engine import DeepKDOptimWrapper
from mmdeepkd.losses import DeepKDLoss, KDLoss
from tests import golden
from tests.helpers.toys import with_streams

KEYS = ('W1', 'b1', 'W2', 'b2')


def train(data, loss, **kwargs):
    """Train the small network of the files; yield its weights per step."""
    params = [torch.nn.Parameter(data[f'init_{key}'].clone()) for key in KEYS]
    weight1, bias1, weight2, bias2 = params
    wrapper = DeepKDOptimWrapper(
        SGD(params, lr=1., momentum=0.9,
            weight_decay=data['hp_weight_decay'],
            dampening=data.get('hp_dampening', 0.)), **kwargs)
    for step, rate in enumerate(data['hp_lr']):
        wrapper.param_groups[0]['lr'] = float(rate)
        hidden = torch.tanh(data['X'][step] @ weight1.T + bias1)
        logits = hidden @ weight2.T + bias2
        target = data['Y'][step].long()
        losses = dict(
            task=cross_entropy(logits, target),
            **loss(logits, data['teacher_logits'][step], target))
        wrapper.update_params(with_streams(losses))
        yield [p.detach().clone() for p in params], losses


def check(data, loss, **kwargs):
    for step, (params, losses) in enumerate(train(data, loss, **kwargs)):
        for key, param in zip(KEYS, params):
            torch.testing.assert_close(
                param, data[f'step_{key}'][step], rtol=1e-10, atol=1e-12)
        if 'losses' in data:
            assert [float(v.detach()) for v in losses.values()
                    ] == pytest.approx(data['losses'][step].tolist())


@pytest.mark.parametrize('name, semantics', [
    ('default', 'paper'), ('default', 'released'),
    ('imagenet_delta', 'paper'), ('wd_large', 'paper'),
    ('dampening', 'released')
])
def test_dot_is_kd_under_two_offsets(name, semantics):
    data = golden.load(f'opt_dot_released__{name}')
    delta = data['hp_mu_kd'] - 0.9

    assert data['hp_mu_task'] == pytest.approx(0.9 - delta)
    check(data, KDLoss(temperature=data['hp_temperature']),
          offsets=dict(task=-delta, distill=delta), semantics=semantics)


def test_deepkd_is_its_loss_under_one_delta():
    data = golden.load('opt_deepkd_paper__default_sum')
    loss = DeepKDLoss(base='dkd', alpha=data['hp_alpha'],
                      beta=data['hp_beta'],
                      temperature=data['hp_temperature'])

    check(data, loss, delta=data['hp_mu_tog'] - 0.9)
