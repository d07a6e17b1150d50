"""GSNRHook in runs of MMEngine's Runner, against laws that are known."""
import json
import re

import pytest
import torch
from mmengine.hooks import Hook
from tensorboard.backend.event_processing import event_accumulator

from mmdeepkd.engine import DistillRunner
from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import distiller_config, write_teacher
from tests.helpers.float16 import AVAILABLE, or_refused
from tests.helpers.toys import equal, weights
from tests.helpers.training import run_training
from tests.test_resume.runs import Listener

from .stream_runs import (
    HEAD,
    RATIOS,
    KnownStreams,
    SmallDistiller,
    numbers,
    reports,
    run,
)

AMP = 'mmdeepkd.AmpDeepKDOptimWrapper'
STREAMS = ('task', 'target', 'non_target')
PARTS = ('backbone.0', 'backbone.2', 'head')
PAIRS = ('task-target', 'task-non_target', 'target-non_target')


def config(**kwargs):
    return dict(type='mmdeepkd.GSNRHook',
                **{'interval': 6, 'samples': 4, **kwargs})


def known(work_dir, size=1000, samples=8, counts=1, wrapper=None):
    """The report of a window of a model whose GSNR is known."""
    wrapper = dict(wrapper or {}, accumulative_counts=counts)
    if wrapper.get('type') == AMP:
        wrapper.setdefault('delta', 0.05)
    steps = samples * counts
    run(work_dir, KnownStreams(size),
        [config(interval=steps, samples=samples)], steps,
        batch=4 // counts, wrapper=wrapper)
    report, = reports(work_dir)
    return report


@pytest.mark.parametrize('size, samples', [(20_000, 32), (200_000, 8)])
def test_the_known_ratios_are_found(tmp_path, size, samples):
    report = known(tmp_path, size, samples)

    for stream, ratio in RATIOS.items():
        for part, factor in (('backbone.layer1', 1.), ('head', HEAD)):
            assert report[f'gsnr/{stream}/{part}'] == pytest.approx(
                factor * ratio, rel=0.05)
        assert report[f'gsnr/{stream}'] == pytest.approx(
            (1 + HEAD) / 2 * ratio, rel=0.05)


def test_the_known_norms_and_cosines_are_found(tmp_path):
    report = known(tmp_path, 20_000)
    means = {s: (1 + HEAD) / 2 * r / 4 for s, r in RATIOS.items()}
    # The squared mean and the variance of an update, per element.
    squares = {s: mean + 1 / 4 for s, mean in means.items()}

    for k, stream in enumerate(STREAMS):
        assert report[f'grad_norm/{stream}'] == pytest.approx(
            10.**-k * (20_000 * squares[stream])**0.5, rel=0.02)
    for pair in PAIRS:
        first, second = pair.split('-')
        assert report[f'grad_cosine/{pair}'] == pytest.approx(
            (means[first] * means[second]
             / squares[first] / squares[second])**0.5, abs=0.01)


EQUAL = {
    'every stream alone': dict(wrapper=dict(merge=False)),
    'accumulation': dict(counts=2),
    'accumulation, alone': dict(counts=2, wrapper=dict(merge=False)),
    'clipped': dict(wrapper=dict(clip_grad=dict(max_norm=1e-3))),
    'bfloat16': dict(wrapper=dict(type=AMP, dtype='bfloat16')),
    'scaled, clipped': dict(wrapper=dict(
        type=AMP, clip_grad=dict(max_norm=1e-3),
        **(dict(dtype='float16', loss_scale=128.) if AVAILABLE else
           dict(dtype='bfloat16')))),
}


@pytest.mark.parametrize('name', EQUAL)
def test_the_same_gradients_give_the_same_report(tmp_path, name):
    plain = known(tmp_path / 'plain')
    other = known(tmp_path / 'other', **EQUAL[name])

    assert plain.keys() == other.keys()
    # The weights, and with them the losses, differ where it is clipped.
    same = {key: value for key, value in numbers(other).items()
            if not key.startswith('stream_loss')}
    # What is taken apart is rounded as the sum was, of 100 times the size.
    assert same == pytest.approx({key: plain[key] for key in same},
                                 rel=1e-4)


def test_bfloat16_measures_a_net_as_float32_does(tmp_path):
    check_precision(tmp_path, 'bfloat16')


@or_refused
def test_float16_measures_a_net_as_float32_does(tmp_path):
    check_precision(tmp_path, 'float16')


def check_precision(tmp_path, dtype):
    found = []
    for name in ('plain', 'amp'):
        wrapper = dict(type=AMP, delta=0.05, dtype=dtype)
        run(tmp_path / name, SmallDistiller(), [config(samples=6)],
            wrapper=wrapper if name == 'amp' else None)
        found.append(reports(tmp_path / name)[0])

    plain, amp = found
    for stream in STREAMS:
        for kind, error in (('gsnr', 0.2), ('grad_norm', 0.02),
                            ('stream_loss', 0.02)):
            name = f'{kind}/{stream}'
            assert amp[name] == pytest.approx(plain[name], rel=error)


def test_every_number_of_a_report(tmp_path):
    model = SmallDistiller()
    runner = run(tmp_path, model, [config()], 10)
    first, second = reports(tmp_path)

    assert set(first) == {
        'iter', 'epoch', 'topk', 'agreement',
        *(f'grad_ratio/{s}' for s in STREAMS[1:]),
        *(f'grad_cosine/{pair}' for pair in PAIRS),
        *(f'{kind}/{s}' for s in STREAMS
          for kind in ('gsnr', 'grad_norm', 'stream_loss', 'momentum')),
        *(f'gsnr/{s}/{part}' for s in STREAMS for part in PARTS)}
    assert set(first) == set(second)
    assert (first['iter'], second['iter']) == (4, 10)
    assert [first[f'momentum/{s}'] for s in STREAMS] == pytest.approx(
        [0.95, 0.85, 0.95])
    assert first['topk'] == 3
    # Iterations 6 to 9 are those of the second window.
    agreed = torch.cat([a.argmax(1) == b.argmax(1)
                        for a, b in model.logits[6:]])
    assert second['agreement'] == float(agreed.double().mean())
    assert not any(module._forward_hooks for module in model.modules())
    assert runner.optim_wrapper._observation.observer is None


class Watch(Hook):
    """Counts, for every iteration, the hooks on the loss."""

    priority = 'LOWEST'

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        loss = runner.model.losses[0]
        self.seen.append(len(loss._forward_hooks))
        watched = runner.optim_wrapper._observation.observer is not None
        assert watched == bool(self.seen[-1])


def test_only_windows_are_watched(tmp_path):
    watch = Watch()
    run(tmp_path, SmallDistiller(), [config(), watch], 14)

    # The third window is cut short.
    assert watch.seen == [1] * 4 + [0] * 2 + [1] * 4 + [0] * 2 + [1] * 2
    assert [line['iter'] for line in reports(tmp_path)] == [4, 10]


def test_a_window_that_is_cut_short_leaves_nothing(tmp_path):
    model = SmallDistiller()
    runner = run(tmp_path, model, [config()], 3)

    assert not list(tmp_path.glob('*/streams.jsonl'))
    assert not any(module._forward_hooks for module in model.modules())
    assert runner.optim_wrapper._observation.observer is None


def test_a_window_begins_with_a_whole_update(tmp_path):
    """Iteration 9 is in the middle of an update of two."""
    model = SmallDistiller()
    run(tmp_path, model, [config(interval=9)], 18, wrapper=dict(
        accumulative_counts=2))

    # Iterations 0 to 7, and 10 to 17.
    lines = reports(tmp_path)
    assert [line['iter'] for line in lines] == [8, 18]
    agreed = torch.cat([a.argmax(1) == b.argmax(1)
                        for a, b in model.logits[10:]])
    assert lines[1]['agreement'] == float(agreed.double().mean())


class SpoiltDistiller(SmallDistiller):
    """Its second and its eighth loss are NaN."""

    def forward(self, inputs, data_samples=None, mode='loss'):
        losses = super().forward(inputs, data_samples, mode)
        if len(self.logits) in (2, 8):
            losses['task'] = losses['task'] * float('nan')
        return losses


def test_a_window_goes_on_while_the_next_is_due(tmp_path):
    """One update more, for the one that was skipped, is iteration 4."""
    model = SpoiltDistiller()
    run(tmp_path, model, [config(interval=4)], 24,
        wrapper=dict(nonfinite='skip'))

    assert [line['iter'] for line in reports(tmp_path)] == [5, 12, 16, 20, 24]
    assert not any(module._forward_hooks for module in model.modules())


def test_a_released_run_reports_the_momentum_it_trains_with(tmp_path):
    said = Listener()
    model = SmallDistiller()
    model.loss_names = ['deepkd']
    run(tmp_path, model, [config(), said], 4,
        runner=DistillRunner, wrapper=dict(
            type='mmdeepkd.DeepKDOptimWrapper', semantics='released',
            offsets=dict(task=0.05, target=-0.05, non_target=0.05)))
    report, = reports(tmp_path)

    assert [report[f'momentum/{s}'] for s in STREAMS] == pytest.approx(
        [0.85, 0.85, 0.95])
    block = next(text for _, text in said.records if 'resolved' in text)
    assert re.search(r'^ +task +0.85 ', block, re.M)


def test_a_run_by_epoch_counts_completed_epochs(tmp_path):
    # 400 numbers are 4 iterations of 100.
    run(tmp_path, SmallDistiller(), [config()], batch=100,
        train_cfg=dict(by_epoch=True, max_epochs=3))

    assert [(line['epoch'], line['iter']) for line in reports(tmp_path)] == [
        (0, 4), (2, 10)]


def test_a_plain_loss_is_one_stream(tmp_path):
    run(tmp_path, SmallDistiller(plain=True), [config()], 6)
    report, = reports(tmp_path)

    assert {name for name in report if 'plain' in name} == {
        'gsnr/plain', 'grad_norm/plain', 'stream_loss/plain',
        'momentum/plain', *(f'gsnr/plain/{part}' for part in PARTS)}
    assert report['momentum/plain'] == 0.9
    assert 'agreement' not in report


@pytest.mark.parametrize('kwargs', [
    dict(), dict(wrapper=dict(merge=False)),
    dict(wrapper=dict(accumulative_counts=2)),
    dict(wrapper=dict(clip_grad=dict(max_norm=0.1))),
    dict(optimizer=dict(type='AdamW', lr=1e-3)),
    dict(wrapper=dict(type=AMP, delta=0.05, dtype='bfloat16')),
    *([dict(wrapper=dict(type=AMP, delta=0.05, dtype='float16'))]
      if AVAILABLE else []),
], ids=['merged', 'alone', 'accumulated', 'clipped', 'AdamW', 'bfloat16',
        *(['float16'] if AVAILABLE else [])])
def test_the_training_is_the_same_to_the_bit(tmp_path, kwargs):
    trained = []
    for hooks in ([], [config(interval=8)]):
        model = SmallDistiller()
        runner = run(tmp_path / str(len(hooks)), model, hooks, 20, **kwargs)
        states = runner.optim_wrapper.optimizer.state.values()
        trained.append([
            *weights(model), *(value for state in states
                               for value in state.values()
                               if isinstance(value, torch.Tensor)),
            *(student for student, _ in model.logits)])

    assert reports(tmp_path / '1')
    assert len(trained[0]) > 6 + 20 and equal(*trained)


@pytest.mark.parametrize('stop', [2, 8])
def test_a_window_in_which_a_run_is_resumed_is_left_out(tmp_path, stop):
    def train(folder, **kwargs):
        run(tmp_path / folder, SmallDistiller(), [config()], 16,
            runner=DistillRunner, default_hooks=dict(checkpoint=dict(
                type='CheckpointHook', by_epoch=False, interval=stop)),
            **kwargs)
        return reports(tmp_path / folder)

    straight = train('straight')
    resumed = train('resumed', resume=True, load_from=str(
        tmp_path / 'straight' / f'iter_{stop}.pth'))

    assert [line['iter'] for line in straight] == [4, 10, 16]
    assert resumed == [line for line in straight if line['iter'] >= stop + 4]


def test_every_visualiser_gets_the_report(tmp_path):
    run(tmp_path, SmallDistiller(), [config()], 10, visualizer=dict(
        type='Visualizer', vis_backends=[
            dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')
        ]))
    lines = reports(tmp_path)
    folder, = tmp_path.glob('*/vis_data')
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()

    for name in numbers(lines[0]):
        assert [(event.step, pytest.approx(event.value))
                for event in events.Scalars(name)] == [
                    (line['iter'], line[name]) for line in lines]
    local = [json.loads(line) for line in
             (folder / 'scalars.json').read_text().splitlines()]
    local = [line for line in local if 'gsnr/task' in line]
    assert local == [dict(numbers(line), step=line['iter'])
                     for line in lines]


def test_the_log_has_a_line_to_read(tmp_path):
    said = Listener()
    run(tmp_path, SmallDistiller(), [config(), said], 6)
    line, = (text for _, text in said.records if 'Gradient streams' in text)
    report, = reports(tmp_path)

    assert line.startswith(
        f'Gradient streams: task GSNR {report["gsnr/task"]:.4g}, norm '
        f'{report["grad_norm/task"]:.4g}, loss '
        f'{report["stream_loss/task"]:.4g}, momentum 0.95; target GSNR ')
    assert line.endswith(
        f'; topk 3; agreement {report["agreement"]:.4g}')


def test_a_detector_is_measured_in_parts(tmp_path):
    teacher = write_teacher(faster_rcnn(), tmp_path / 'teacher.pth')
    run_training(
        distiller_config(faster_rcnn(), faster_rcnn(), teacher),
        dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05, optimizer=dict(
            type='SGD', lr=1e-3, momentum=0.9)),
        tmp_path, 4, custom_hooks=[config()])
    report, = reports(tmp_path)

    shared = [f'backbone.layer{i}' for i in (1, 2, 3, 4)] + ['roi_head']
    for stream in STREAMS:
        assert all(f'gsnr/{stream}/{part}' in report for part in shared)
    # Region proposals are not distilled.
    assert 'gsnr/task/rpn_head' in report
    assert 'gsnr/non_target/rpn_head' not in report
    assert 0 <= report['agreement'] <= 1
