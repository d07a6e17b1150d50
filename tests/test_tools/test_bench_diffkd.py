import json
import math
import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdeepkd.datasets import make_digits_detection
from mmdeepkd.engine.decouple import resolve_offsets
from tools import bench_diffkd
from tools.bench_steps.benchmark import teacher_run
from tools.bench_steps.executor import Executor
from tools.bench_steps.pool import Task as Work
from tools.bench_steps.report import Facts
from tools.bench_steps.runs import (
    KINDS,
    ROOT,
    Result,
    Run,
    identify,
    resolve,
)
from tools.bench_steps.training import score
from tools.diffkd_steps import logged, plan, scenes, tables
from tools.diffkd_steps.course import train_all
from tools.diffkd_steps.logged import Logged
from tools.diffkd_steps.page import PICTURES, Task

COURSES = (plan.FULL.detection, plan.FULL.classification)
FACTS = Facts('make bench-diffkd', 54.4, 60, 70, 90.0, '', '', 'a processor',
              'torch 2', 'abc', '2026-01-01')


class FakeExecutor:
    """Answers with an accuracy that a formula gives, and with a log."""

    def __init__(self, root):
        self.root = root
        self.expected = 0
        self.trained = 0
        self.asked = []
        self.finished = set()

    def __call__(self, runs, beside=()):
        self.asked.append((list(runs), [task.name for task in beside]))
        for task in beside:
            task.work()
        for run in runs:
            self.trained += not self.done(run)
            self.finish(run)
        return {run: self.answer(run) for run in runs}

    def done(self, run):
        return run in self.finished

    def task(self, run):
        return Work(Path(run.config).stem, lambda: self.finish(run),
                    Path('log'))

    def folder(self, run):
        return self.root / identify(run)

    def finish(self, run):
        self.finished.add(run)
        if 'diffkd' in run.config:
            data = self.folder(run) / 'mmengine' / 'now' / 'vis_data'
            data.mkdir(parents=True, exist_ok=True)
            (data / 'scalars.json').write_text(''.join(
                json.dumps(line) + '\n' for line in lines(run.seed)))

    def answer(self, run):
        # DiffKD gains a point, DeepKD two; all are best at a rate of 1.6 or
        # 0.02, each factor of two costs a point.
        best = 1.6 if 'digits100' in run.config else 0.02
        loss = 0 if run.rate is None else abs(math.log2(run.rate / best))
        name = Path(run.config).stem
        score = (60 - loss + ('diffkd' in name) + 2 * ('deepkd' in name)
                 + 0.2 * (run.seed % 10) * (1 + ('deepkd' in name)))
        return Result(score, score - 1 if run.test else None, 10.0)


def lines(seed):
    """Make the logged lines of a run; gamma rises to 0.99."""
    return [{'step': step, 'iter': step, 'loss': 2.0, 'lr': 0.1,
             'loss_cls': 1.0, 'feature.loss_diffkd': 1 / step + seed / 100,
             'feature.loss_diffkd_diffusion': 1.0,
             'diffkd_gamma': 0.5 + 0.49 * (step - 15) / 45}
            for step in (15, 30, 45, 60)]


@pytest.fixture(scope='module')
def course(tmp_path_factory):
    executor = FakeExecutor(tmp_path_factory.mktemp('runs'))
    said = []
    return executor, train_all(plan.FULL, executor, said.append), said


def test_the_plan_is_the_promised_one():
    detection, digits100 = COURSES
    names = ['plain', 'deepkd', 'diffkd', 'shared', 'own']

    assert [arm.name for arm in detection.arms] == names
    assert [arm.name for arm in digits100.arms] == names
    assert len(detection.seeds) == 3 and len(digits100.seeds) == 5
    for some in COURSES:
        assert not set(some.seeds) & set(some.tuning_seeds)
        assert (ROOT / some.teacher).is_file()
    for arm in (*detection.arms, *digits100.arms, *plan.FULL.one_stage):
        assert (ROOT / arm.config).is_file()


@pytest.mark.parametrize('some', COURSES, ids=['detection', 'digits100'])
def test_momenta_are_what_the_arms_say(some):
    arms = {arm.name: resolve(Run(arm.config, 0, 0.3, arm.options))
            for arm in some.arms}
    delta = {'digits': plan.DELTA_DETECTION,
             'digits100': plan.DELTA_DIGITS100}[
                 Path(some.arms[0].config).parent.name]
    streams = dict(task=delta, target=-delta, non_target=delta)

    def offsets(name):
        wrapper = arms[name].optim_wrapper
        return resolve_offsets(
            wrapper.get('delta'), wrapper.get('offsets'), 'paper')

    shipped = Config.fromfile(ROOT / some.arms[1].config)
    assert shipped.optim_wrapper.delta == delta
    assert offsets('deepkd') == offsets('shared')
    assert offsets('shared').items() >= dict(streams, feature=delta).items()
    assert offsets('own') == dict(streams, feature=0.0)
    for name in ('plain', 'diffkd'):
        assert arms[name].optim_wrapper.type == 'OptimWrapper'


@pytest.mark.parametrize('some', COURSES, ids=['detection', 'digits100'])
def test_arms_differ_in_their_method_alone(some):
    plain = resolve(Run(some.arms[0].config, 0, 0.3, some.options))
    for arm in some.arms[1:]:
        cfg = resolve(Run(arm.config, 0, 0.3, (*arm.options, *some.options)))
        losses = cfg.model.losses
        losses = losses if isinstance(losses, list) else [losses]
        kinds = {loss.type for loss in losses}

        assert cfg.model.student == plain.model
        assert cfg.optim_wrapper.optimizer == plain.optim_wrapper.optimizer
        for key in ('param_scheduler', 'train_cfg', 'train_dataloader',
                    'val_dataloader', 'test_dataloader', 'val_evaluator',
                    'test_evaluator'):
            assert cfg[key] == plain[key]
        assert ('mmdeepkd.DeepKDLoss' in kinds) == (arm.name != 'diffkd')
        assert ('mmdeepkd.DiffKDLoss' in kinds) == (arm.name != 'deepkd')
        if 'gsnr' in cfg.default_hooks:
            # One window at the beginning, none later.
            assert cfg.default_hooks.gsnr.interval == 300
        if 'topk' in cfg.default_hooks and 'digits100' in arm.config:
            assert cfg.default_hooks.topk.static_k == 99


def test_rates_are_chosen_on_other_scenes():
    for some in (plan.FULL.detection, plan.SMOKE_PLAN.detection):
        for arm in (*some.arms, *plan.FULL.one_stage):
            cfg = resolve(Run(arm.config, 0, 0.3, some.options))

            tuned = cfg.val_dataloader.dataset
            assert tuned.data_root == 'data/digits_tuning/'
            assert tuned.ann_file == (
                'annotations/tuning.json')
            assert cfg.val_evaluator.ann_file == (
                'data/digits_tuning/annotations/tuning.json')
            assert cfg.test_dataloader.dataset.data_root == 'data/digits/'
            assert cfg.test_evaluator.ann_file == (
                'data/digits/annotations/val.json')
            assert cfg.train_dataloader.dataset.data_root == 'data/digits/'


def test_tuning_scenes_are_those_beyond_the_shipped_ones(tmp_path):
    make_digits_detection(tmp_path / 'digits', num_train=1, num_val=3)
    scenes.make_tuning_scenes(tmp_path / 'tuning', shipped=3, count=4)
    found = json.loads(
        (tmp_path / 'tuning' / 'annotations' / 'tuning.json').read_text())
    shipped = {file.read_bytes() for file in
               (tmp_path / 'digits' / 'val').glob('*.png')}
    kept = [tmp_path / 'tuning' / 'val' / image['file_name']
            for image in found['images']]

    assert [image['id'] for image in found['images']] == [4, 5, 6, 7]
    assert {box['image_id'] for box in found['annotations']} <= {4, 5, 6, 7}
    assert len(found['categories']) == 10 and len(found['annotations']) > 3
    assert len(shipped) == 3
    assert not shipped & {file.read_bytes() for file in kept}
    # Else they would not be beyond them.
    assert shipped == {
        (tmp_path / 'tuning' / 'val' / f'{i:06d}.png').read_bytes()
        for i in range(3)}


def test_every_arm_has_the_same_tries_and_final_runs(course):
    executor, trained, _ = course
    for some, outcome in zip(COURSES, (trained.measured.detection,
                                       trained.measured.classification)):
        for arm in some.arms:
            assert list(outcome.final[arm.name]) == list(some.seeds)
            if arm.rate_of:
                assert arm.name == 'own'
                assert arm.name not in outcome.tries
                continue
            assert sorted(outcome.tries[arm.name]) == list(some.rates)
            assert {len(tried) for tried in
                    outcome.tries[arm.name].values()} == {
                        len(some.tuning_seeds)}
        assert set(outcome.rates.values()) == {
            1.6 if some is COURSES[1] else 0.02}


def test_rates_of_detectors_are_chosen_by_whole_trainings(course):
    executor, trained, _ = course
    lengths = {run.test: set() for run in trained.runs}
    for run in trained.runs:
        if 'configs/digits/' in run.config and 'teacher' not in run.config:
            loop = resolve(run).train_cfg
            lengths[run.test].add((loop.max_epochs, loop.val_interval))

    assert lengths == {False: {(4, 4)}, True: {(4, 4)}}


def test_the_own_momentum_takes_the_rate_of_the_shared_one(course):
    for some in COURSES:
        assert [arm.name for arm in some.arms if arm.rate_of] == ['own']
    digits100 = course[1].measured.classification
    assert digits100.rates['own'] == digits100.rates['shared']


def test_what_takes_longest_begins_first(course):
    executor, _, _ = course
    finals = [runs for runs, _ in executor.asked if len(runs) > 1
              and all(run.test for run in runs)]

    # Of the detectors those at the other rate follow.
    assert [len(runs) for runs in finals] == [5 * 5, 5 * 3, 5 * 3]
    assert [{run.rate for run in runs} for runs in finals[1:]] == [
        {0.02}, {0.04}]
    for runs in finals:
        assert 'deepkd_diffkd' in runs[0].config
        assert 'baseline' in runs[-1].config


def test_long_trainings_begin_beside_others(course):
    executor, trained, said = course

    assert [beside for _, beside in executor.asked if beside] == [
        ['teacher_frcnn_r18w32'],
        ['baseline_retinanet_r18w16', 'diffkd_retinanet_r18w16']]
    # Beside the tries on Digits-100, and those of the detectors.
    assert executor.asked[1][1] == ['teacher_frcnn_r18w32']
    assert all('digits100' in run.config for run in executor.asked[1][0])
    assert said[0] == 'Digits-100' and 'Digits detection' in said


def test_all_trainings_are_counted_and_those_of_this_command(course):
    executor, trained, _ = course
    unique = {identify(run) for run in trained.runs}

    assert unique == {identify(run) for run in executor.finished}
    assert trained.trained == len(executor.finished)
    executor.trained = 0
    again = train_all(plan.FULL, executor, print)
    assert again.trained == 0
    assert again.measured.one_stage == trained.measured.one_stage
    teacher = teacher_run(plan.FULL.detection)
    students = [run for run in trained.runs if 'retinanet' in run.config]
    assert [run.teacher for run in students] == [None, identify(teacher)]


def test_lines_are_read_and_named(course):
    found = course[1].measured.logged
    titles = [setting.title for setting in found]

    assert titles == [
        f'{task}: {title}' for task in ('detection', 'Digits-100')
        for title in ('DiffKD', 'DeepKD + DiffKD, own momentum 0.9')]
    assert found[0].runs[0] == lines(0)
    assert sorted(found[-1].runs) == [0, 1, 2, 3, 4]
    names = {'feature.loss_diffkd_level0': 1., 'diffkd_gamma_level0': 1.,
             'diffkd_logits_gamma': 1., 'non_target.loss_deepkd': 1.,
             'iter': 1}
    assert logged.gammas({0: [names]}) == [
        'diffkd_gamma_level0', 'diffkd_logits_gamma']
    assert logged.losses({0: [names]}) == ['feature.loss_diffkd_level0']
    assert logged.iterations(found[0].runs) == [15, 45, 60]
    assert logged.iterations({0: []}) == []


def gamma_of(*values):
    return Logged('A', {0: [dict(iter=i, diffkd_gamma=value)
                            for i, value in enumerate(values)]})


@pytest.mark.parametrize('setting, said', [
    (gamma_of(.5, .99, .7),
     'A: `diffkd_gamma` 0.50 to 0.70; none ends above 0.95.'),
    (gamma_of(.5, .7, .97),
     'A: `diffkd_gamma` 0.50 to 0.97; above 0.95 at the end: '
     '`diffkd_gamma`.'),
    (Logged('A', {0: [dict(iter=1, loss=1.)]}), 'A: no gamma was logged.'),
    (Logged('A', {0: []}), 'A: no gamma was logged.'),
], ids=['free', 'near', 'none', 'empty'])
def test_where_gamma_went_is_told_as_it_comes_out(setting, said):
    assert tables.gamma_verdict(setting) == said


def test_the_page_has_the_numbers_and_its_pictures(course, tmp_path):
    bench_diffkd.write(
        plan.FULL, course[1].measured, FACTS, tmp_path,
        Task('Two detectors.', 'd/teacher.pth'),
        Task('Two classifiers.', 'c/teacher.pth'))
    text = (tmp_path / 'results' / 'diffkd.md').read_text(encoding='utf-8')
    words = ' '.join(text.split())
    rows = [[cell.strip() for cell in line.split('|')[1:-1]]
            for line in text.splitlines() if line.startswith('| ')]

    assert '`make bench-diffkd`, 54 minutes' in text
    assert max(len(line) for line in text.splitlines()
               if '|' not in line and '![' not in line) <= 79
    for name in PICTURES:
        assert f'](../images/{name})' in text
        assert (tmp_path / 'images' / name).stat().st_size > 5000
    # 60 - 1 + the mean of 0, .2, .4; plus 1, and plus 3 with twice that.
    assert ['no teacher', '0.02', '59.20 ± 0.20', '',
            '-2.20 ± 0.12'] in rows
    assert ['DiffKD', '0.02', '60.20 ± 0.20', '+1.00 ± 0.00',
            '-1.20 ± 0.12'] in rows
    assert ['DeepKD + DiffKD, own momentum 0.9', '0.02', '62.40 ± 0.40',
            '+3.20 ± 0.12', '+1.00 ± 0.00'] in rows
    assert ("DeepKD + DiffKD, own momentum 0.9 minus DeepKD + DiffKD, the "
            "task's momentum: +0.00 ± 0.00, not more than twice its standard "
            'error.') in words
    assert ('DiffKD minus no teacher: +1.00 ± 0.00, more than twice its '
            'standard error.') in words
    assert ['RetinaNet, DiffKD', '60.0', '10'] in rows
    # Twice the best rate costs a point.
    assert ['no teacher', '**59.2 ± 0.2**', '58.2 ± 0.2'] in rows
    assert ['DeepKD + DiffKD, own momentum 0.9', '**62.4 ± 0.4**',
            '61.4 ± 0.4'] in rows
    assert words.count('The same seeds at every rate') == 1
    assert ['detection: DiffKD', '`diffkd_gamma`', '0.5', '0.827',
            '0.99'] in rows
    assert 'above 0.95 at the end: `diffkd_gamma`' in words
    assert 'model.teacher_checkpoint=d/teacher.pth' in text
    assert 'model.teacher_checkpoint=c/teacher.pth' in text
    # What all runs of a task share stands above its table, once.
    arms = words[words.index('## The arms'):]
    for key, value in plan.FULL.detection.options:
        assert arms.count(f'`{key}={value}`') == 1
        assert arms.index(f'`{key}={value}`') < arms.index('| Method')
    assert arms.count('All runs have') == 1
    assert not re.search(r'\bnan\b|(?<!=)\bNone\b', text)


def test_the_tasks_are_described_by_their_configs():
    detectors = bench_diffkd.describe_detectors(plan.FULL.detection)
    classifiers = bench_diffkd.describe_classifiers(plan.FULL.classification)

    assert ('Student: ResNet-18 of base width 16, 4 epochs. Teacher: '
            'ResNet-18 of base width 32, 8 epochs. Both: batch 8') in detectors
    assert 'Student: ResNet-8 of widths [4, 8, 16], 20 epochs' in classifiers


def test_real_detectors_are_measured_and_log_gamma(tmp_path, digits):
    """Through mmdet, in forked processes."""
    arms = {arm.name: arm for arm in plan.SMOKE_PLAN.detection.arms}
    options = (*plan.SMOKE_PLAN.detection.options,
               ('train_dataloader.dataset.indices', 4),
               *((f'{split}_dataloader.dataset.{key}', value)
                 for split in ('train', 'val', 'test') for key, value in
                 (('data_root', f'{digits}/'),
                  ('ann_file', f'annotations/{split.replace("test", "val")}'
                               '.json'))),
               *((f'{split}_evaluator.ann_file',
                  f'{digits}/annotations/val.json')
                 for split in ('val', 'test')))
    executor = Executor(tmp_path, 2, print)
    teacher = teacher_run(plan.SMOKE_PLAN.detection._replace(options=options))
    executor([teacher])
    run = Run(arms['own'].config, 1, 0.01,
              (*arms['own'].options, *options), identify(teacher), True)
    result = executor([run])[run]
    found = {0: logged.read_lines(executor.folder(run) / 'mmengine')}

    assert 0 <= result.val <= 100 and 0 <= result.test <= 100
    assert logged.gammas(found) == [
        f'diffkd_gamma_level{i}' for i in range(4)]
    assert 'feature.loss_diffkd_level0' in logged.losses(found)
    assert all(0 < line['diffkd_gamma_level0'] < 1 for line in found[0])


def test_a_detector_that_finds_nothing_has_measured_zero():
    """Mmdet then logs no box mAP."""
    assert score({}, 'coco/bbox_mAP', KINDS['digits']) == 0
    assert score({'coco/bbox_mAP': 0.5}, 'coco/bbox_mAP',
                  KINDS['digits']) == 50
