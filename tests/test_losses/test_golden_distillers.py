"""Whole distillers of the reference: task loss, weights and warm-up."""
import pytest
import torch
import torch.nn.functional as F

from mmdeepkd.losses import (
    DeepKDLoss,
    DISTLoss,
    DKDLoss,
    GDKD3Loss,
    GDKDLoss,
    KDLoss,
)
from tests import golden


def deepkd(data):
    """Return the released plugin over KD, its DKD flag, or DKD."""
    temperature = float(data['hp_T'])
    if 'hp_alpha' not in data:
        return DeepKDLoss(temperature=temperature, semantics='released')
    return DeepKDLoss(
        base='dkd',
        alpha=data['hp_alpha'],
        beta=data['hp_beta'],
        temperature=temperature,
        topk=data.get('hp_topk'),
        semantics='released')


def gdkd_weights(data):
    return [data['hp_w0'], data['hp_w1'], data['hp_w2']]


LOSSES = {
    'kd_default':
    lambda d: KDLoss(d['hp_T'], d['hp_kd_weight']),
    'lskd_default':
    lambda d: KDLoss(d['hp_T'], d['hp_kd_weight'], standardize=True),
    'dkd_warmup':
    lambda d: DKDLoss(d['hp_alpha'], d['hp_beta'], d['hp_T']),
    'gdkd_default':
    lambda d: GDKDLoss(d['hp_k'], gdkd_weights(d), d['hp_T']),
    'gdkd3_default':
    lambda d: GDKD3Loss(d['hp_k'], gdkd_weights(d), d['hp_T']),
    'dist_default':
    lambda d: DISTLoss(d['hp_beta'], d['hp_gamma'], d['hp_T']),
    'deepkd_kd_topk3_ignored': deepkd,
    'deepkd_kd_dkdflag': deepkd,
    'deepkd_dkd_topk3': deepkd,
}


def test_every_file_has_its_loss():
    assert golden.names('distiller__*') == sorted(
        f'distiller__{name}' for name in LOSSES)


@pytest.mark.parametrize('name', sorted(LOSSES))
def test_losses_by_epoch(name):
    data = golden.load(f'distiller__{name}')
    student, teacher = data['logits_student'], data['logits_teacher']
    loss = LOSSES[name](data)
    epochs = data.get('hp_warmup', 1)
    found = {key: [] for key in data if key.startswith('loss_')}

    for epoch in data['epochs'].tolist():
        # WarmupHook's formula; these files count epochs from 1.
        loss.warmup_factor = min(epoch / epochs, 1.0)
        losses = loss(student, teacher, data['target'])
        task = data['hp_ce_weight'] * F.cross_entropy(student, data['target'])
        terms = dict(
            loss_ce=task, loss_task=task, loss_kd=sum(losses.values()))
        if 'target' in losses:
            terms.update(
                loss_tckd=losses['target'], loss_nckd=losses['non_target'])
        for key in found:
            found[key].append(terms[key])

    for key, values in found.items():
        golden.check_value(torch.stack(values), data, key)


def test_the_defaults_are_the_authors():
    for name, loss in (('gdkd_default', GDKDLoss), ('gdkd3_default',
                                                    GDKD3Loss),
                       ('dist_default', DISTLoss)):
        data = golden.load(f'distiller__{name}')
        args = data['logits_student'], data['logits_teacher'], data['target']

        assert loss()(*args) == LOSSES[name](data)(*args)
