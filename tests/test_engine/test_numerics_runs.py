"""Runs in which a loss becomes NaN: what stops, what is saved and logged."""
import itertools
import json

import pytest
import torch
from mmengine.runner import Runner

from mmdeepkd.engine import DistillRunner
from tests.helpers.toys import equal, toy_streams, weights, with_streams

from .toy_distiller import ToyData, ToyDistiller

NAN = float('nan')
_names = itertools.count()
OURS = 'mmdeepkd.DeepKDOptimWrapper'


class SpoiltDistiller(ToyDistiller):
    """Three iterations an epoch; one is given values that are not finite."""

    def __init__(self, at=5, distilled=True, **values):
        super().__init__()
        self.at, self.values, self.seen = at, values, 0
        self.distilled = distilled
        self.passed = []

    def forward(self, inputs, data_samples=None, mode='loss'):
        self.seen += 1
        bad = self.seen == self.at
        self.passed.append(weights(self.net))
        # A bad batch spoils the statistics of BatchNorm.
        inputs = inputs * NAN if bad and self.values.get('target') else inputs
        losses = toy_streams(self.net, self.norm(inputs))
        if bad:
            losses = {
                name: loss * self.values.get(name, 1.)
                for name, loss in losses.items()
            }
        return {
            'loss_cls': losses['task'],
            'target.loss_dkd': losses['target'],
            'non_target.loss_dkd': losses['non_target'],
            'acc': torch.tensor(self.values.get('acc', 1.) if bad else 1.),
        }

    def stream_of(self, name):
        return name.split('.')[0] if '.' in name else 'task'

    def parse_losses(self, losses):
        named = {k: v for k, v in losses.items() if 'loss' in k}
        streams = {self.stream_of(k): v for k, v in named.items()}
        total = with_streams(streams)
        total.parts = {self.stream_of(k): {k: v} for k, v in named.items()}
        if not self.distilled:
            del total.streams, total.parts
        return total, dict(losses, loss=total)


class StudentAlone(SpoiltDistiller):
    """A model without streams."""

    stream_of = property()

    def parse_losses(self, losses):
        total = sum(v for k, v in losses.items() if 'loss' in k)
        return total, dict(loss=total)


def run(work_dir, model, wrapper='OptimWrapper', runner=DistillRunner,
        default_hooks=None, **kwargs):
    options = dict(delta=0.05) if wrapper == OURS else {}
    made = runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=4, num_workers=0, dataset=ToyData(),
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        optim_wrapper=dict(
            type=wrapper, **options, **kwargs,
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', interval=1,
                            by_epoch=False), **(default_hooks or {})),
        log_level='ERROR',
        experiment_name=f'numerics_run_{next(_names)}')
    made.train()
    return made


def saved(work_dir):
    return sorted(path.name for path in work_dir.glob('*.pth'))


def rows(work_dir):
    path, = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize('wrapper, result', [
    (OURS, 'training stops before the update'),
    ('OptimWrapper', 'training stops, and as the step may have spoilt the '
     'weights resume from the last checkpoint'),
])
def test_a_run_stops_before_bad_weights_are_saved(tmp_path, wrapper, result):
    model = SpoiltDistiller(non_target=NAN)
    with pytest.raises(FloatingPointError) as stopped:
        run(tmp_path, model, wrapper)

    assert str(stopped.value).startswith(
        'iteration 5: the loss non_target.loss_dkd (stream non_target) is '
        f'nan; {result}: lower the learning rate')
    assert saved(tmp_path) == [f'iter_{i}.pth' for i in range(1, 5)]
    file = torch.load(tmp_path / 'iter_4.pth', weights_only=True)
    assert all(v.isfinite().all() for v in file['state_dict'].values())


def test_a_skipped_step_of_a_run_is_logged(tmp_path):
    model = SpoiltDistiller(target=NAN)
    runner = run(tmp_path, model, OURS, nonfinite='skip')
    logged = rows(tmp_path)

    assert runner.optim_wrapper.skipped_steps == 1
    assert [row.get('skipped_steps') for row in logged] == (
        [None] * 4 + [1] * 5)
    # The weights that the sixth iteration saw are those of the fifth.
    assert equal(model.passed[5], model.passed[4])
    assert not equal(model.passed[6], model.passed[5])
    assert all(v.isfinite().all() for v in model.state_dict().values())
    assert saved(tmp_path)[-1] == 'iter_9.pth'


def test_a_metric_is_no_loss(tmp_path):
    model = SpoiltDistiller(acc=NAN)
    run(tmp_path, model)

    assert len(model.passed) == 9


def test_a_model_without_streams_is_stopped_with_the_total(tmp_path):
    with pytest.raises(FloatingPointError, match=(
            r'^iteration 5: the loss loss \(stream plain\) is inf')):
        run(tmp_path, StudentAlone(task=float('inf')))


@pytest.mark.parametrize('runner, hooks', [
    (DistillRunner, dict(finite_loss=None)), (Runner, {})])
def test_without_the_hook_mmengine_trains_on(tmp_path, runner, hooks):
    model = SpoiltDistiller(task=NAN)
    run(tmp_path, model, runner=runner, default_hooks=hooks)

    assert len(model.passed) == 9
    assert not any(p.isfinite().all() for p in model.net.parameters())
