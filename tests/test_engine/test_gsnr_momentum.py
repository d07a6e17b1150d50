"""GSNRMomentumHook on a toy model: what it sets, and that it resumes."""
import json
import math
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.optim import SGD

from mmdeepkd.checkpoints import read_checkpoint
from mmdeepkd.engine import DeepKDOptimWrapper, GSNRMomentumHook
from mmdeepkd.engine.hooks import gsnr_hook
from mmdeepkd.engine.optimizers.streams import narrower_delta
from tests.helpers.gloo import run_ranks
from tests.helpers.toys import STREAMS
from tests.test_resume.runs import (
    Interrupt,
    Interrupted,
    Listener,
    assert_same_run,
    go_through_and_resume,
    last,
    start,
)
from tests.test_resume.toy_runs import DrawingDistiller, toy_config

CONFIGURED = dict(task=0.05, target=-0.05, non_target=0.05)
# Windows of iterations 0 to 3, 6 to 9 and 12 to 15, of 18.
HOOK = dict(type='mmdeepkd.GSNRMomentumHook', delta=0.06, smoothing=0.7,
            interval=6, samples=4)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """MMEngine's loop sleeps whenever the data begin anew."""
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda s: None)


class Momenta(Hook):
    """Keep the offsets and momenta with which each iteration trains."""

    priority = 'LOWEST'

    def __init__(self):
        self.offsets, self.base = {}, {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        groups = runner.optim_wrapper.param_groups
        assert len(groups) > 1
        assert all(g['offsets'] == groups[0]['offsets'] for g in groups)
        self.offsets[runner.iter] = dict(groups[0]['offsets'])
        self.base[runner.iter] = groups[0].get('betas', [
            groups[0].get('momentum')])[0]


class SilentDistiller(DrawingDistiller):
    """Its non-target stream has no gradient."""

    def forward(self, inputs, data_samples=None, mode='loss'):
        losses = super().forward(inputs, data_samples, mode)
        losses['loss']['non_target'] = losses['loss']['non_target'] * 0
        return losses


class PlainModel(DrawingDistiller):
    """A student alone: one loss, not in streams."""

    def parse_losses(self, losses):
        total = sum(losses['loss'].values())
        return total, dict(loss=total.detach())


def config(by_epoch=False, hook=None, model=None, **wrapper):
    # The last: a group per parameter.
    wrapper = {**dict(delta=None, offsets=CONFIGURED, merge=False,
                      paramwise_cfg=dict(norm_decay_mult=0.)), **wrapper}
    cfg = toy_config(by_epoch, **wrapper)
    cfg['custom_hooks'].append(dict(HOOK, **(hook or {})))
    if model is not None:
        cfg['model'] = model()
    return cfg


def reports(runner):
    file = Path(runner.log_dir) / 'streams.jsonl'
    return [json.loads(line) for line in file.read_text().splitlines()]


def by_hand(values, smoothing, delta):
    """The offsets after several reports, one list of GSNRs per stream."""
    smooth = {}
    for stream, series in values.items():
        weights = [smoothing**age for age in range(len(series))][::-1]
        smooth[stream] = sum(
            w * v for w, v in zip(weights, series)) / sum(weights)
    # A small or negative ratio counts as a hundredth of the largest.
    least = max(smooth.values()) / 100
    used = {stream: max(value, least) for stream, value in smooth.items()}
    middle = math.prod(used.values())**(1 / len(used))
    return smooth, {stream: delta * (value - middle) / (value + middle)
                    for stream, value in used.items()}


@pytest.mark.parametrize('optimizer', ['SGD', 'AdamW'])
def test_the_momenta_follow_the_smoothed_reports(optimizer, tmp_path):
    settings = dict(SGD=dict(type='SGD', lr=0.1, momentum=0.9,
                             weight_decay=0.01),
                    AdamW=dict(type='AdamW', lr=1e-3,
                               weight_decay=0.01))[optimizer]
    momenta = Momenta()
    runner, _ = start(config(optimizer=settings), tmp_path, momenta)
    found = reports(runner)

    assert [report['iter'] for report in found] == [4, 10, 16]
    for count, (begin, end) in enumerate([(4, 10), (10, 16), (16, 18)], 1):
        smooth, wanted = by_hand(
            {stream: [r[f'gsnr/{stream}'] for r in found[:count]]
             for stream in STREAMS}, 0.7, 0.06)
        for stream in STREAMS:
            assert found[count - 1][f'gsnr_smooth/{stream}'] == pytest.approx(
                smooth[stream])
        for i in range(begin, end):
            assert momenta.offsets[i] == pytest.approx(wanted)
        # The one with the larger ratio has the larger momentum.
        assert len(set(wanted.values())) > 1
    for i in range(4):
        assert momenta.offsets[i] == CONFIGURED
    # As they were in the window.
    assert found[1]['momentum/task'] == pytest.approx(
        0.9 + momenta.offsets[6]['task'])


@pytest.mark.parametrize('by_epoch', [True, False])
def test_a_resumed_run_is_the_uninterrupted_one(by_epoch, tmp_path):
    runs = go_through_and_resume(config(by_epoch), tmp_path, stop=8)
    assert_same_run(*runs, keys=['state_dict', 'optimizer', 'gsnr_momentum'])
    groups = runs[1][0]['optimizer']['param_groups']

    assert set(runs[1][0]['gsnr_momentum']) == set(STREAMS)
    assert groups[0]['offsets'] != CONFIGURED


def interrupted(cfg, folder, stop=8, **kwargs):
    with pytest.raises(Interrupted):
        start(cfg, folder, Interrupt(stop), **kwargs)


@pytest.mark.parametrize('runner_class', [None, Runner])
def test_the_momenta_are_set_before_the_first_iteration(
        runner_class, tmp_path):
    """From the means alone, whatever the optimizer has in its file."""
    kwargs = {} if runner_class is None else dict(runner_class=runner_class)
    straight = Momenta()
    start(config(), tmp_path / 'straight', straight, **kwargs)
    interrupted(config(), tmp_path / 'resumed', **kwargs)
    path = (tmp_path / 'resumed' / 'last_checkpoint').read_text()
    saved = torch.load(path, weights_only=False)
    for group in saved['optimizer']['param_groups']:
        group['offsets'] = dict(CONFIGURED)
    torch.save(saved, path)
    resumed = Momenta()
    start(config(), tmp_path / 'resumed', resumed, resume=True, **kwargs)

    assert resumed.offsets[6] == straight.offsets[6] != CONFIGURED


@pytest.mark.parametrize('stop, inside', [(8, False), (10, True)])
def test_a_resumed_run_says_what_it_goes_on_with(stop, inside, tmp_path):
    interrupted(config(), tmp_path, stop)
    listener = Listener()
    start(config(), tmp_path, listener, resume=True)
    said = [text for _, text in listener.records
            if text.startswith('GSNRMomentumHook sets the momentum offsets')]

    assert len(said) == 1
    assert ('It may have been saved within a window' in said[0]) is inside


def test_a_checkpoint_without_means_says_so(tmp_path):
    """Of a run that had no such hook."""
    cfg = config()
    hook = cfg['custom_hooks'].pop()
    interrupted(cfg, tmp_path)
    momenta, listener = Momenta(), Listener()
    cfg['custom_hooks'].append(hook)
    start(cfg, tmp_path, momenta, listener, resume=True)
    said = [text for _, text in listener.records
            if text.startswith('GSNRMomentumHook')]

    assert said == [
        'GSNRMomentumHook finds no running means of GSNR in the checkpoint: '
        'the momenta stay as they are until the first report.']
    assert momenta.offsets[9] == CONFIGURED != momenta.offsets[10]


def test_weights_alone_bring_no_momenta(tmp_path):
    interrupted(config(), tmp_path)
    path = (tmp_path / 'last_checkpoint').read_text()
    momenta = Momenta()
    runner, _ = start(dict(config(), load_from=path), tmp_path / 'new',
                      momenta)

    assert momenta.offsets[0] == CONFIGURED
    first = reports(runner)[0]
    assert first['gsnr_smooth/task'] == pytest.approx(first['gsnr/task'])


def test_the_checkpoint_is_plain_data(tmp_path):
    runner, _ = start(config(), tmp_path)
    means = last(runner)['gsnr_momentum']
    path = runner.message_hub.get_info('last_ckpt')

    assert torch.load(path, weights_only=True)['gsnr_momentum'] == means
    assert read_checkpoint(path)['gsnr_momentum'] == means
    assert all(type(value) is float for pair in means.values()
               for value in pair)


def test_a_schedule_of_the_base_momentum_goes_on(tmp_path):
    momenta = Momenta()
    cfg = dict(config(), param_scheduler=dict(
        type='LinearMomentum', start_factor=0.5, end=12, by_epoch=False))
    runner, _ = start(cfg, tmp_path, momenta)
    values = [report['momentum/target'] for report in reports(runner)]

    assert momenta.base[0] == 0.45 and momenta.base[17] == pytest.approx(0.9)
    for value, i in zip(values, (3, 9, 15)):
        assert value == pytest.approx(
            momenta.base[i] + momenta.offsets[i]['target'])
    assert momenta.offsets[17]['target'] != -0.05


def test_a_stream_that_was_not_measured_keeps_its_offset(tmp_path):
    momenta = Momenta()
    runner, _ = start(config(model=SilentDistiller), tmp_path, momenta)

    assert 'gsnr/non_target' not in reports(runner)[0]
    assert momenta.offsets[17]['non_target'] == 0.05
    assert momenta.offsets[17]['task'] == pytest.approx(
        -momenta.offsets[17]['target'])
    assert momenta.offsets[17]['task'] not in (0.05, 0.0)


@pytest.mark.parametrize('value', [math.inf, math.nan])
def test_a_ratio_that_overflows_is_left_out(value, tmp_path, monkeypatch):
    report = gsnr_hook.complete_report
    monkeypatch.setattr(gsnr_hook, 'complete_report', lambda *args: {
        **report(*args), 'gsnr/target': value})
    momenta = Momenta()
    start(config(), tmp_path, momenta)

    assert momenta.offsets[17]['target'] == -0.05
    assert momenta.offsets[17]['task'] != 0.05


def test_without_the_hook_nothing_is_set(tmp_path):
    cfg = config()
    cfg['custom_hooks'][-1] = dict(type='mmdeepkd.GSNRHook', interval=6,
                                   samples=4)
    momenta = Momenta()
    runner, _ = start(cfg, tmp_path, momenta)

    assert momenta.offsets[17] == CONFIGURED
    assert 'gsnr_momentum' not in last(runner)
    assert not any('smooth' in name for name in reports(runner)[0])


def offsets_on_rank(rank, folder):
    momenta = Momenta()
    with mock.patch('mmengine.runner.loops.time.sleep'):
        start(dict(config(), launcher='pytorch'), folder, momenta)
    return momenta.offsets[17]


def test_all_ranks_set_the_same(tmp_path):
    first, second = run_ranks(offsets_on_rank, tmp_path, timeout=200)

    assert first == second != CONFIGURED


@pytest.mark.parametrize('settings, message', [
    (dict(delta=-0.1), 'delta=-0.1 but it must be >= 0'),
    (dict(delta=math.nan), 'delta=nan but it must be >= 0'),
    (dict(smoothing=1.0), r'smoothing=1.0 but it must be in \[0, 1\)'),
    (dict(smoothing=-0.1), 'smoothing=-0.1 but it must be in'),
    (dict(interval=6, samples=3), 'samples=3 but needs at least 4'),
], ids=['delta', 'nan', 'one', 'negative', 'samples'])
def test_arguments_out_of_range(settings, message):
    with pytest.raises(ValueError, match=f'GSNRMomentumHook has {message}'):
        GSNRMomentumHook(**settings)


@pytest.mark.parametrize('cfg, message', [
    (dict(merge=True), 'set merge=False in optim_wrapper'),
    (dict(semantics='released'),
     "cannot set the momenta of semantics='released'"),
    (dict(hook=dict(delta=0.1)), 'has delta=0.1, which takes the momentum '
     r'0.9 of a parameter group out of \[0, 1\): choose less than 0.1\.$'),
    (dict(offsets=dict.fromkeys(STREAMS, 0.), optimizer=dict(
        type='SGD', lr=0.1, weight_decay=0.01)),
     'the momentum 0 of .* give the optimizer a momentum'),
    (dict(model=PlainModel), 'the loss of this model is a plain one'),
], ids=['merge', 'released', 'delta', 'no momentum', 'plain'])
def test_a_run_whose_momenta_cannot_follow(cfg, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        start(config(**cfg), tmp_path)


def test_a_plain_loss_is_refused_after_one_update(tmp_path):
    momenta = Momenta()
    with pytest.raises(ValueError, match='is a plain one: use a distiller'):
        start(config(model=PlainModel), tmp_path, momenta)

    assert list(momenta.base) == [0]


@pytest.mark.parametrize('hooks', [
    ['GSNRHook', 'GSNRMomentumHook'], ['GSNRMomentumHook', 'GSNRHook'],
    ['GSNRHook', 'GSNRHook']], ids=['before', 'after', 'twice'])
def test_two_hooks_that_measure_are_refused(hooks, tmp_path):
    cfg = config()
    cfg['custom_hooks'][-1:] = [dict(type=f'mmdeepkd.{name}')
                                for name in hooks]
    with pytest.raises(ValueError, match=(
            f'this run has {" and ".join(hooks)}, of which only one can '
            'observe .*GSNRMomentumHook measures and reports, too.: remove')):
        start(cfg, tmp_path)


@pytest.mark.parametrize('delta, base, advice', [
    (0.1, 0.9, 'choose less than 0.1'), (0.3, 0.8, 'choose less than 0.2'),
    (0.4, 0.3, 'choose at most 0.3'), (0.5, 0.5, 'choose less than 0.5'),
    (0.2, 0.1236, 'choose at most 0.1236'),
    (0.01, 0., 'give the optimizer a momentum'),
    (0.3, 0.3, None), (0.09, 0.9, None), (0., 0., None)])
def test_the_largest_delta_is_named(delta, base, advice):
    assert narrower_delta(delta, base) == advice


def test_delta_is_checked_in_every_group(tmp_path):
    cfg = config()
    first, *others = cfg['model'].parameters()
    cfg['optim_wrapper'] = DeepKDOptimWrapper(
        SGD([dict(params=others), dict(params=[first], momentum=0.95)],
            lr=0.1, momentum=0.9), delta=0.04, merge=False)
    with pytest.raises(ValueError, match='momentum 0.95 of a parameter group'):
        start(cfg, tmp_path)


def test_the_summary_has_a_row(tmp_path):
    listener = Listener()
    start(config(), tmp_path, listener)
    text = '\n'.join(text for _, text in listener.records)

    assert ('momenta within 0.06 of the base momentum follow it, smoothing '
            '0.7') in text
