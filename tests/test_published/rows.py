"""What a published row states, under our names.

A row is a YAML file of one of the authors' repositories, merged with that
repository's defaults, as stored in ``tests/data/published``.
"""
from typing import Any, Dict, Optional, Tuple

Fields = Dict[str, Any]


def fields_of_row(row: Fields, method: str) -> Fields:
    """Return what the published row states, under our names.

    Args:
        row: The published values.
        method: Our name of the method, such as 'deepkd_dkd': it says which
            of the row's values are in use.
    """
    base, decoupled = _split(method)
    stated = row['method']
    fields = dict(
        batch=row['batch'],
        epochs=row['epochs'],
        lr=row['lr'],
        momentum=row['momentum'],
        weight_decay=row['wd'],
        schedule=row['sched'])
    if base == 'baseline':
        return fields
    fields.update(
        task_weight=stated.get('CE_WEIGHT', stated.get('LOSS.CE_WEIGHT')),
        warmup=stated.get('WARMUP', 1),
        offsets=None,
        standardize=base == 'lskd' or bool(row.get('logit_stand')))
    fields.update(_LOSSES[base](stated))
    if decoupled == 'dot':
        streams = ('distill', ) if base == 'kd' else ('target', 'non_target')
        fields['offsets'] = {
            'task': -row['dot_delta'],
            **dict.fromkeys(streams, row['dot_delta'])
        }
    elif decoupled == 'deepkd':
        fields.update(_deepkd(base, fields, row['deepkd']))
    return fields


def _split(method: str) -> Tuple[str, Optional[str]]:
    """Return the loss method and what decouples it, if anything."""
    first, _, rest = method.partition('_')
    if first in ('deepkd', 'dot'):
        return rest or 'kd', first
    return method, None


def _kd(stated: Fields) -> Fields:
    weight = stated.get('KD_WEIGHT', stated.get('LOSS.KD_WEIGHT'))
    return dict(
        loss='KDLoss', temperature=stated['TEMPERATURE'], loss_weight=weight)


def _dkd(stated: Fields) -> Fields:
    return dict(
        loss='DKDLoss',
        alpha=stated['ALPHA'],
        beta=stated['BETA'],
        temperature=stated['T'])


def _dkdmod(stated: Fields) -> Fields:
    return dict(
        _dkd(stated),
        loss='DKDModLoss',
        split=stated['STRATEGY'],
        kl_type=stated['KL_TYPE'])


def _gdkd(stated: Fields) -> Fields:
    return dict(
        _gdkd3(stated),
        loss='GDKDLoss',
        strategy=stated['STRATEGY'],
        kl_type=stated['KL_TYPE'])


def _gdkd3(stated: Fields) -> Fields:
    return dict(
        loss='GDKD3Loss',
        k=stated['TOPK'],
        weights=tuple(stated[f'W{i}'] for i in range(3)),
        temperature=stated['T'])


def _dist(stated: Fields) -> Fields:
    return dict(
        loss='DISTLoss',
        beta=stated['BETA'],
        gamma=stated['GAMMA'],
        temperature=stated['T'])


def _mlkd(stated: Fields) -> Fields:
    weight = stated.get('KD_WEIGHT', stated.get('LOSS.KD_WEIGHT'))
    temperatures = stated.get('TEMPERATURES')
    if temperatures is None:
        # The code adds four to the one of the file.
        temperatures = (stated['TEMPERATURE'], 3, 5, 2, 6)
    return dict(
        loss='MLKDLoss', temperatures=tuple(temperatures), loss_weight=weight)


def _crld(stated: Fields) -> Fields:
    return dict(
        loss='CRLDLoss',
        temperature=stated['TEMPERATURE'],
        wv_weight=stated['WV_WEIGHT'],
        cv_weight=stated['CV_WEIGHT'],
        tau_weak=stated['TAU_W'],
        tau_strong=stated['TAU_S'])


_LOSSES = dict(
    kd=_kd, lskd=_kd, dkd=_dkd, dkdmod=_dkdmod, gdkd=_gdkd, gdkd3=_gdkd3,
    dist=_dist, mlkd=_mlkd, crld=_crld)


def _deepkd(base: str, fields: Fields, stated: Fields) -> Fields:
    """Return what changes in the decoupled form of a method."""
    task, target, non_target = (
        stated[f'DELTA_{name}'] for name in ('TOG', 'TCG', 'NCG'))
    offsets = dict(task=task, target=target, non_target=non_target)
    if base.startswith('gdkd'):
        return dict(offsets=offsets)
    if base == 'mlkd':
        # The consistency terms, which the release puts into the task stream.
        offsets['distill'] = task
    changed = dict(offsets=offsets, topk=stated['TOPK'] or None)
    if base == 'dkd':
        return dict(changed, loss='DeepKDLoss', base='dkd')
    changed['base'] = 'dkd' if stated['DKD'] else 'kd'
    if stated['DKD']:
        changed.update(
            alpha=stated['ALPHA'],
            beta=stated['BETA'],
            warmup=stated['WARMUP_FACTOR'])
    else:
        # Without DKD the release reads neither, and weighs both terms by 1.
        changed.update(alpha=1.0, beta=1.0)
    if base == 'kd':
        # The release does not read the KD weight either.
        del fields['loss_weight']
        changed['loss'] = 'DeepKDLoss'
    return changed
