"""A loss prints every setting that it runs with."""
import inspect

import pytest

from mmdeepkd import losses

OTHERS = dict(
    temperature=1.5, temperatures=(2.5, 3.5), loss_weight=0.7, alpha=0.3,
    beta=0.4, gamma=0.6, k=3, weights=(0.5, 0.6, 0.7), topk=7,
    standardize=True, base='dkd', semantics='released', split='top1',
    kl_type='reverse', strategy='worst', norm_mode='both', mode='v2',
    background='teacher', wv_weight=0.1, cv_weight=0.2, tau_weak=0.35,
    tau_strong=0.45, channels=9, levels=[1], align='error', num_steps=10,
    diffusion_weight=0.8, autoencoder_weight=0.9)
CLASSES = [
    value for name, value in sorted(vars(losses).items())
    if inspect.isclass(value) and name.endswith('Loss')
    and name not in ('ForegroundLoss', 'DistillationLoss')
]


@pytest.mark.parametrize('loss', CLASSES)
def test_every_argument_is_printed_with_its_value(loss):
    names = list(inspect.signature(loss).parameters)
    given = {name: OTHERS[name] for name in names}
    if loss is losses.GDKDSLoss:
        given['weights'] = (0.5, 0.6, 0.7, 0.8)
    settings = ', '.join(f'{name}={given[name]!r}' for name in names)

    assert repr(loss(**given)) == f'{loss.__name__}({settings})'
    assert set(names) <= set(OTHERS)


def test_options_without_effect_are_left_out():
    printed = repr(losses.MLKDLoss())

    assert 'base=None' in printed
    assert 'topk' not in printed and 'alpha' not in printed


def test_a_loss_in_a_loss():
    loss = losses.ForegroundLoss(
        dict(type='mmdeepkd.KDLoss', temperature=2.0))

    assert repr(loss) == ('ForegroundLoss(loss=KDLoss(temperature=2.0, '
                          'loss_weight=1.0, standardize=False))')


def test_a_changed_setting_is_printed():
    loss = losses.DeepKDLoss()
    loss.topk = 9

    assert 'topk=9' in repr(loss)
