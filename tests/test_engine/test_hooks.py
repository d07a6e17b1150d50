"""DynamicTopKHook and WarmupHook over a mock runner."""
from unittest.mock import MagicMock, Mock

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn

import mmdeepkd.registry  # noqa: F401
from mmdeepkd.engine import DynamicTopKHook, WarmupHook

from .toy_distiller import ToyLoss


def mock_runner(num_logits=101, by_epoch=True, losses=None, **progress):
    loop = EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop
    runner = MagicMock(train_loop=Mock(spec=loop), **progress)
    runner.model = Mock(
        spec=['losses', 'loss_names', 'num_logits'],
        num_logits=num_logits,
        losses=[ToyLoss(), nn.Identity()] if losses is None else losses)
    return runner


def values_by_epoch(hook, name, max_epochs=10, start=0, **kwargs):
    runner = mock_runner(max_epochs=max_epochs, max_iters=max_epochs, epoch=0,
                         iter=0, **kwargs)
    hook.before_train(runner)
    values = []
    for step in range(start, max_epochs):
        runner.epoch = runner.iter = step
        hook.before_train_epoch(runner)
        hook.before_train_iter(runner, batch_idx=0)
        values.append(getattr(runner.model.losses[0], name))
    return values


# Progress is epoch / 9. Up to 0.3: 6 + 34 p / 0.3; from 0.7: 40 + 60 (p -
# 0.7) / 0.3, of 100 non-target classes. 5 % of 101 columns are 6.
TEN_EPOCHS = [6, 19, 31, 40, 40, 40, 40, 56, 78, 100]


@pytest.mark.parametrize('static_k', [None, 40])
def test_k_over_ten_epochs(static_k):
    assert values_by_epoch(
        DynamicTopKHook(static_k), 'topk') == TEN_EPOCHS


def test_k_over_ten_iterations():
    hook = DynamicTopKHook(by_epoch=False)

    assert values_by_epoch(hook, 'topk', by_epoch=False) == TEN_EPOCHS


@pytest.mark.parametrize('num_logits, settings, warned', [
    (4, {}, True),
    (4, dict(static_k=3), True),
    (4, dict(static_k=3, initial_ratio=0.5), False),
    (101, {}, False),
    # The only class there is.
    (2, {}, False),
])
def test_a_k_of_one_has_nothing_to_distil(num_logits, settings, warned):
    runner = mock_runner(num_logits)
    DynamicTopKHook(**settings).before_train(runner)
    said = [call.args[0] for call in runner.logger.warning.call_args_list]

    assert len(said) == warned
    assert not warned or (
        'begins with K = 1 of 3 non-target classes' in said[0]
        and 'set static_k=3 and initial_ratio=0.5' in said[0])


def test_k_with_phases_and_ratio_of_ones_own():
    hook = DynamicTopKHook(20, initial_ratio=0.1, phases=(0., 0.5))

    # From 0.5 on: 20 + 80 (p - 0.5) / 0.5.
    assert values_by_epoch(hook, 'topk', 5) == [20, 20, 20, 60, 100]


def test_a_run_of_one_epoch_keeps_every_class():
    assert values_by_epoch(DynamicTopKHook(), 'topk', 1) == [100]


def test_k_needs_no_replay_after_a_resume():
    assert values_by_epoch(
        DynamicTopKHook(), 'topk', start=7) == TEN_EPOCHS[7:]


@pytest.mark.parametrize('num_logits, static_k', [
    (2, 1), (3, 1), (5, 2), (11, 4), (81, 32), (1001, 400)
])
def test_the_default_static_k_is_two_fifths(num_logits, static_k):
    values = values_by_epoch(
        DynamicTopKHook(), 'topk', 3, num_logits=num_logits)

    assert values == [min(-(-num_logits // 20), static_k), static_k,
                      num_logits - 1]


def test_only_losses_with_a_k_are_given_one():
    bare = nn.Identity()
    values_by_epoch(DynamicTopKHook(), 'topk', losses=[ToyLoss(), bare])

    assert not hasattr(bare, 'topk')


def test_the_k_is_logged_with_its_origin():
    runner = mock_runner(epoch=0, max_epochs=10)
    hook = DynamicTopKHook()
    hook.before_train(runner)
    hook.before_train_epoch(runner)

    assert 'static K 40 of 100 non-target classes (our default' in (
        runner.logger.info.call_args.args[0])
    runner.message_hub.update_scalar.assert_called_with('train/topk', 6)


@pytest.mark.parametrize('kwargs, message', [
    (dict(static_k=0), 'static_k is 0 but must be at least 1'),
    (dict(static_k=-3), 'static_k is -3'),
    (dict(phases=(0.3, )), r'needs two phases.*got \(0\.3,\)'),
    (dict(phases=(0.7, 0.3)), 'two rising fractions'),
    (dict(initial_ratio=1.5), 'initial_ratio is 1.5'),
])
def test_settings_out_of_range_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DynamicTopKHook(**kwargs)


@pytest.mark.parametrize('hook, kwargs, error, message', [
    (DynamicTopKHook(101), dict(), ValueError,
     'static_k=101, the model 100 non-target classes: choose .* 1 to 100'),
    (DynamicTopKHook(), dict(losses=[nn.Identity()]), ValueError,
     r"sets topk, which none of \['Identity'\] has"),
    (DynamicTopKHook(), dict(by_epoch=False), ValueError,
     'set by_epoch=False'),
    (WarmupHook(2), dict(by_epoch=False), ValueError,
     r'WarmupHook\(epochs=...\) counts epochs and .* set iters instead'),
])
def test_a_run_that_a_hook_does_not_fit_is_refused(hook, kwargs, error,
                                                   message):
    with pytest.raises(error, match=message):
        hook.before_train(mock_runner(**kwargs))


@pytest.mark.parametrize('hook', [DynamicTopKHook(), WarmupHook(2)])
def test_a_model_that_is_no_distiller_is_named(hook):
    runner = mock_runner(epoch=0, max_epochs=3)
    runner.model = nn.Linear(1, 1)
    name = type(hook).__name__
    with pytest.raises(TypeError, match=f'{name} needs a dist.*got Linear'):
        hook.before_train(runner)


def test_the_warm_up_rises_to_one():
    hook = WarmupHook(4)

    assert values_by_epoch(hook, 'warmup_factor', 6) == [
        0.25, 0.5, 0.75, 1., 1., 1.
    ]


def test_the_warm_up_needs_no_replay_after_a_resume():
    assert values_by_epoch(
        WarmupHook(4), 'warmup_factor', 4, start=2) == [0.75, 1.]


@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('start', [0, 2])
def test_the_warm_up_by_iteration_starts_at_zero(by_epoch, start):
    factors = values_by_epoch(WarmupHook(iters=4), 'warmup_factor', 6,
                              start=start, by_epoch=by_epoch)

    assert factors == [0., 0.25, 0.5, 0.75, 1., 1.][start:]


def test_the_warm_up_by_iteration_is_set_within_an_epoch():
    hook, runner = WarmupHook(iters=4), mock_runner(epoch=0, iter=3)
    hook.before_train_iter(runner, batch_idx=3)

    assert runner.model.losses[0].warmup_factor == 0.75


@pytest.mark.parametrize('name', ['epochs', 'iters'])
@pytest.mark.parametrize('value', [0, -1])
def test_a_warm_up_without_length_is_refused(name, value):
    with pytest.raises(ValueError, match=f'{name} >= 1, got {value}'):
        WarmupHook(**{name: value})


@pytest.mark.parametrize('lengths', [dict(), dict(epochs=2, iters=5)])
def test_a_warm_up_has_one_length(lengths):
    with pytest.raises(ValueError, match='exactly one of epochs and iters'):
        WarmupHook(**lengths)


@pytest.mark.parametrize('config', [
    dict(type='mmdeepkd.DynamicTopKHook', static_k=5),
    dict(type='mmdeepkd.WarmupHook', epochs=3),
    dict(type='mmdeepkd.PlainCheckpointHook'),
    dict(type='mmdeepkd.SafeCheckpointHook'),
    dict(type='mmdeepkd.ResumeCheckHook'),
])
def test_hooks_are_built_by_name(config):
    assert isinstance(HOOKS.build(config), Hook)


@pytest.mark.parametrize('static_k', [2.5, True])
def test_a_static_k_that_is_no_count(static_k):
    with pytest.raises(TypeError, match='static_k is .* must be an int'):
        DynamicTopKHook(static_k=static_k)
