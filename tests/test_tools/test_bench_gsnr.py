import json
import math
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from mmengine.config import Config

from mmdeepkd.engine import DynamicTopKHook
from tools import bench_gsnr
from tools.bench_steps import curves
from tools.bench_steps.arms import TEACHER
from tools.bench_steps.benchmark import Benchmark
from tools.bench_steps.executor import Executor
from tools.bench_steps.pool import Task, TaskError
from tools.bench_steps.report import Facts
from tools.bench_steps.runs import ROOT, Result, Run, identify, resolve
from tools.gsnr_steps import (
    detecting,
    pictures,
    plan,
    results,
    streams,
    tables,
)
from tools.gsnr_steps.detecting import Detected, Detection
from tools.gsnr_steps.page import PICTURES, Measured, page
from tools.gsnr_steps.streams import Choice, Watched

FACTS = Facts('make bench-gsnr', 31.4, 150, 170, 60.0, 'a/b.pth', 'Two nets.',
              'a processor', 'torch 2', 'abc', '2026-01-01')


class FakeExecutor:
    """Answers with an accuracy that a formula gives."""

    def __init__(self):
        self.expected = 0
        self.asked = []

    def __call__(self, runs, beside=()):
        self.asked.append((list(runs), list(beside)))
        return {run: self.answer(run) for run in runs}

    def answer(self, run):
        options = dict(run.options)
        # K of 40 beats every other; the plain student is best at the edge.
        best = 3.2 if 'baseline' in run.config else 1.6
        loss = 0 if run.rate is None else abs(math.log2(run.rate / best))
        k = options.get('default_hooks.topk.static_k', 40)
        loss += 0 if k == 'auto' else abs(k - 40) / 10
        score = 80 - loss + 0.2 * (run.seed % 10)
        return Result(score, score - 1 if run.test else None, 10.0)


@pytest.fixture(scope='module')
def course():
    executor = FakeExecutor()
    work = Task('work', print, Path('log'))
    outcome = Benchmark(plan.FULL.classification, executor, lambda line: None,
                        [work])()
    return executor, outcome, work


def report(iteration, task, target, non_target, **more):
    """Make a report; its other numbers follow from the ratios."""
    ratios = dict(task=task, target=target, non_target=non_target)
    made = dict(iter=iteration, epoch=iteration // 15)
    for stream, ratio in ratios.items():
        made[f'gsnr/{stream}'] = ratio
        made[f'gsnr/{stream}/head'] = 2 * ratio
        made[f'gsnr/{stream}/backbone.conv1'] = ratio / 2
        made[f'grad_norm/{stream}'] = 3 * ratio
        made[f'grad_ratio/{stream}'] = ratio / task
        made[f'momentum/{stream}'] = 0.9
        made[f'gsnr_smooth/{stream}'] = ratio
    return {**made, **more}


# Two runs of three reports; task is above target in 5 of 6, non_target in 3.
RUNS = {
    0: [report(8, 4., 1., 2.), report(28, 3., 1., 2.), report(48, 2., 1., .5)],
    1: [report(8, 6., 1., 2.), report(28, 3., 1., .5), report(48, 1., 2., .5)],
}


def test_the_plan_is_the_promised_one():
    course = plan.FULL.classification
    names = [arm.name for arm in course.arms]

    assert names == ['alone', 'fixed', 'equal', 'driven', 'k10', 'k40',
                     'k80', 'k99', 'auto', 'auto_low', 'auto_phases',
                     'auto_phases_low']
    assert len(course.seeds) == 5 and len(course.tuning_seeds) == 2
    assert not set(course.seeds) & set(course.tuning_seeds)
    assert len(course.rates) == 3 and course.max_extensions == 3
    assert [arm.name for arm in course.arms if arm.watched] == [
        'fixed', 'equal', 'k40']


def test_overrides_change_what_they_say():
    arms = {arm.name: resolve(Run(arm.config, 0, 0.3, (
        *arm.options, *arm.watched))) for arm in plan.FULL.classification.arms}
    shipped = Config.fromfile(ROOT / arms_config())

    for name in ('fixed', 'equal', 'driven'):
        assert arms[name].default_hooks.topk.static_k == 99
        assert arms[name].default_hooks.topk.phases == (0.0, 1.0)
    assert arms['fixed'].optim_wrapper.delta == plan.DELTA == (
        shipped.optim_wrapper.delta)
    assert arms['equal'].optim_wrapper.delta == 0
    assert arms['driven'].optim_wrapper['merge'] is False
    assert arms['driven'].default_hooks.gsnr == dict(
        type='mmdeepkd.GSNRMomentumHook', interval=20, samples=8,
        delta=plan.DELTA)
    assert arms['k40'].default_hooks.gsnr == dict(
        type='mmdeepkd.GSNRHook', interval=20, samples=8)
    assert arms['k40'].default_hooks.topk == shipped.default_hooks.topk
    assert arms['auto'].default_hooks.topk.static_k == 'auto'
    assert arms['auto_phases'].default_hooks.topk.phases == 'auto'
    assert 'gsnr' not in arms['auto'].default_hooks
    for name, share, phases in (
            ('auto', 0.95, (0.3, 0.7)), ('auto_low', 0.8, (0.3, 0.7)),
            ('auto_phases', 0.95, 'auto'), ('auto_phases_low', 0.8, 'auto')):
        settings = dict(arms[name].default_hooks.topk)
        hook = DynamicTopKHook(**{key: value for key, value in settings.items()
                                  if key != 'type'})
        assert (hook.static_k, hook.share, hook.phases) == (
            'auto', share, phases)
        assert plan.share_of(next(
            arm for arm in plan.FULL.topk if arm.name == name)) == share


def arms_config():
    return plan.FULL.topk[0].config


def test_gradients_are_watched_in_final_runs_only(course):
    executor, outcome, _ = course
    tried, final = executor.asked[1][0], executor.asked[-1][0]

    assert len(tried) == 12 * 3 * 2 and len(final) == 12 * 5
    watching = [run for run in final
                if ('default_hooks.gsnr.type', 'mmdeepkd.GSNRHook') in
                run.options]
    assert len(watching) == 3 * 5
    assert not any(('default_hooks.gsnr.type', 'mmdeepkd.GSNRHook') in
                   run.options for run in tried)
    assert list(outcome.final_runs['k40'].values()) == [
        run for run in watching if ('default_hooks.topk.static_k', 40) in
        run.options]


def test_other_work_is_handed_out_once_beside_the_tries(course):
    executor, _, work = course

    assert [beside for _, beside in executor.asked].count([work]) == 1
    assert executor.asked[1][1] == [work]
    # The teacher, the tries, those beyond the edge, the final runs.
    assert len(executor.asked) == 4


def test_reports_are_read_from_the_newest_run(tmp_path):
    for name, ratio in (('20260101_000000', 1.), ('20260102_000000', 2.)):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'streams.jsonl').write_text(
            json.dumps({'iter': 8, 'gsnr/task': ratio}) + '\n')

    assert streams.read_reports(tmp_path) == [{'iter': 8, 'gsnr/task': 2.}]
    with pytest.raises(FileNotFoundError, match='the run needs GSNRHook'):
        streams.read_reports(tmp_path / '20260101_000000')


def test_the_choice_is_read_from_the_log(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'a.log').write_text(
        '2026/01/01 - mmengine - INFO - Dynamic top-K: static K 23 of 99 '
        'non-target classes (auto: why); phases 0.4, 0.9 (auto).\nmore\n')

    assert streams.read_choice(tmp_path) == Choice(
        23, 'static K 23 of 99 non-target classes (auto: why); phases 0.4, '
        '0.9 (auto).')
    with pytest.raises(ValueError, match='the run needs DynamicTopKHook'):
        streams.read_choice(tmp_path / 'a')


def test_curves_by_hand():
    found = curves.curve(RUNS, 'gsnr/task')

    assert found.iterations == [8, 28, 48]
    assert found.mean == [5, 3, 1.5]
    assert found.sd == pytest.approx([2 ** 0.5, 0, 0.5 ** 0.5])
    assert curves.averages(RUNS, 'gsnr/task').mean == pytest.approx(19 / 6)
    assert curves.averages(RUNS, 'gsnr/feature') is None
    assert curves.curve(RUNS, 'gsnr/feature').iterations == []


def test_orders_by_hand():
    first, second = streams.CLAIM

    # Averages over the training: 3, 1, 1.5 and 10/3, 4/3, 1.
    assert streams.order(RUNS, first) == (5, 6, 2, 2)
    assert streams.order(RUNS, second) == (3, 6, 1, 2)
    assert streams.order(RUNS, first, second) == (3, 6, 1, 2)
    missing = {0: [*RUNS[0], {'iter': 68, 'gsnr/task': 1.}], 1: []}
    assert streams.order(missing, first) == (3, 3, 1, 1)


def test_thirds_and_parts_by_hand():
    found = streams.thirds(RUNS)

    assert [[r['iter'] for r in third[1]] for third in found] == [
        [8], [28], [48]]
    assert streams.parts(RUNS) == ['head', 'backbone.conv1']


@pytest.mark.parametrize('ratios, said', [
    ((4., 1., 2.), 'task > non_target > target; of 1 reports task above '
     'target in 1, non_target above target in 1, both in 1.'),
    ((1., 4., 2.), 'target > non_target > task; of 1 reports task above '
     'target in 0, non_target above target in 0, both in 0.'),
])
def test_the_order_is_told_as_it_comes_out(ratios, said):
    watched = Watched('A', {0: [report(8, *ratios)]})

    assert tables.verdict(watched) == f'A: on average {said}'


def make_measured(outcome):
    return Measured(
        outcome, [Watched(name, RUNS) for name in ('one', 'two', 'three')],
        RUNS, {arm.title: [Choice(k, f'static K {k}')
                           for k in (23, 22, 23, 22, 23)]
               for arm in plan.FULL.topk if 'auto' in arm.name},
        Detected(71., 56., RUNS[0]))


def test_the_page_has_the_numbers_and_its_pictures(course, tmp_path):
    measured = make_measured(course[1])
    bench_gsnr.write(plan.FULL, measured, FACTS, tmp_path)
    text = (tmp_path / 'results' / 'gsnr.md').read_text(encoding='utf-8')
    words = ' '.join(text.split())

    assert '`make bench-gsnr`, 31 minutes' in text
    assert max(len(line) for line in text.splitlines()
               if '|' not in line and '![' not in line) <= 79
    for name in PICTURES:
        assert f'](../images/{name})' in text
        assert (tmp_path / 'images' / name).stat().st_size > 5000
    rows = [[cell.strip() for cell in line.split('|')[1:-1]]
            for line in text.splitlines() if line.startswith('| ')]
    assert ['one', '3.17 ± 0.24', '1.17 ± 0.24', '1.25 ± 0.35', '83 %', '50 %',
            '50 %', '1 of 2 runs'] in rows
    assert ['`head`', '**6.33 ± 0.47**', '**2.33 ± 0.47**',
            '**2.50 ± 0.71**'] in rows
    # 80 - 1 + the mean of 0, .2, .4, .6, .8, with auto as with 40.
    assert ["static_k='auto'", '1.6', '79.40 ± 0.32', '+0.00 ± 0.00',
            ''] in rows
    assert ['static_k=10', '1.6', '76.40 ± 0.32', '-3.00 ± 0.00',
            '-3.00 ± 0.00'] in rows
    assert ("`static_k='auto'`: K = 22 in 2, K = 23 in 3 of 5 runs. The log "
            'of the first: "static K 23"') in words
    section = words.split("## K: 'auto'")[1]
    assert section.index('K = 22 in 2') < section.index('| Method')
    assert ('At the temperature of the loss, 4, a teacher that is flat over '
            'all 99 non-target classes gets K = 95 for share=0.95 and K = 80 '
            'for share=0.8.') in words
    assert 'nearly flat' not in words
    assert 'box mAP of the teacher 71.0, of the student 56.0' in words
    assert 'nan' not in text and 'None' not in text


def test_every_chosen_k_is_drawn(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, 'save', lambda figure, path: drawn.append(
        [(list(line.get_xdata()), list(line.get_ydata()))
         for line in figure.axes[0].lines]))
    pictures.draw_topk({5: [60., 62.]}, {
        'a': ([20, 30], [61., 65.]), 'b': ([40, 40], [70., 72.]),
        'c': ([50, 50], [50., 52.])}, tmp_path / 'k.png')
    plt.close('all')

    for points in (([20, 30], [61., 65.]), ([25], [63.]),
                   ([40, 40], [70., 72.]), ([51, 51], [50., 52.])):
        assert points in drawn[0]


def test_a_page_without_some_numbers_is_still_one(course):
    """Of a stream without a variance there is no GSNR."""
    poor = {0: [{key: value for key, value in some.items()
                 if not key.startswith('gsnr/target')} for some in RUNS[0]]}
    measured = make_measured(course[1])._replace(
        watched=[Watched('poor', poor)])
    text = page(plan.FULL, measured, FACTS)

    assert re.search(r'\| poor +\| +3 \| +- \| +1.5 \| +- \|', text)


def fake_train(calls):
    """Return a training that writes what the real one would."""

    def train(job, work_dir, options):
        calls.append((job.name, options))
        run = work_dir / '20260101_000000'
        (run / 'vis_data').mkdir(parents=True)
        (work_dir / 'last_checkpoint').write_text('x/epoch_8.pth')
        box_map = 0.7 if job.name == 'teacher' else 0.5
        (run / 'vis_data' / 'scalars.json').write_text(json.dumps(
            {'step': 4, 'coco/bbox_mAP': box_map, 'coco/bbox_mAP_50': 0.9}))
        (run / 'streams.jsonl').write_text(json.dumps(RUNS[0][0]) + '\n')

    return train


def test_detectors_are_trained_once_the_teacher_first(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(detecting, 'train', fake_train(calls))
    detection = Detection(tmp_path, plan.FULL.detection, (('a.b', 1), ))
    assert not detection.done
    detection.task.work()

    assert detection.done and detection.result() == (70., 50., [RUNS[0][0]])
    assert calls == [('teacher', ['a.b=1']), ('student', [
        'model.teacher_checkpoint=x/epoch_8.pth',
        'default_hooks.gsnr.type=mmdeepkd.GSNRHook',
        'default_hooks.gsnr.interval=20', 'default_hooks.gsnr.samples=8',
        'a.b=1'])]
    assert Detection(tmp_path, plan.FULL.detection, (('a.b', 1), )).done
    assert 0 <= Detection(
        tmp_path, plan.FULL.detection, (('a.b', 1), )).seconds < 60
    assert not Detection(tmp_path, plan.FULL.detection, (('a.b', 2), )).done
    assert not Detection(tmp_path, (), (('a.b', 1), )).done


def test_the_detectors_are_counted(course, tmp_path, monkeypatch):
    """Their trainings and minutes too, and only those of this command."""
    executor, outcome, _ = course
    calls, facts = [], []
    monkeypatch.setattr(detecting, 'train', fake_train(calls))
    monkeypatch.setattr(Detection, 'seconds', 300.0)
    monkeypatch.setattr(bench_gsnr, 'make_digits_detection', print)
    monkeypatch.setattr(bench_gsnr, '_collect', lambda *args: None)
    monkeypatch.setattr(bench_gsnr, 'write', lambda plan, measured, found,
                        docs: facts.append(found))

    class Answered(Executor):
        def __call__(self, runs, beside=()):
            for task in beside:
                task.work()
            self.trained += len(runs)
            return executor(runs)

        def all_results(self, runs):
            return [executor.answer(run) for run in runs]

    monkeypatch.setattr(bench_gsnr, 'Executor', Answered)
    for _ in range(2):
        bench_gsnr.run(plan.FULL, tmp_path, tmp_path / 'docs')

    runs = len(outcome.runs)
    assert len(calls) == 2
    assert [found.runs for found in facts] == [runs + 2] * 2
    assert [found.trained for found in facts] == [runs + 2, runs]
    assert facts[0].run_minutes == pytest.approx((runs * 10 + 300) / 60)


def test_the_detectors_configs_exist():
    assert (ROOT / detecting.TEACHER).is_file()
    assert (ROOT / detecting.STUDENT).is_file()


def test_work_beside_is_done_and_its_failure_names_its_log(tmp_path):
    said = []
    executor = Executor(tmp_path, 2, said.append)
    task = Task('the other', lambda: print('here'), tmp_path / 'other.txt')

    assert executor([], [task]) == {}
    assert (tmp_path / 'other.txt').read_text() == 'here\n'
    assert executor.trained == 0 and said[0].endswith('the other')
    broken = Task('the bad', lambda: 1 / 0, tmp_path / 'bad.txt')
    with pytest.raises(TaskError, match='the bad failed; its log is'):
        executor([], [broken])


TINY = (('train_cfg.max_epochs', 1), ('train_cfg.val_interval', 1),
        ('train_dataloader.batch_size', 16),
        ('train_dataloader.dataset.indices', 128),
        ('val_dataloader.dataset.indices', 100),
        ('test_dataloader.dataset.indices', 100))


def test_real_runs_are_watched_driven_and_choose(tmp_path):
    """Through MMEngine's Runner, in forked processes."""
    executor = Executor(tmp_path, 2, print)
    teacher = Run(TEACHER, 0, options=TINY, test=True)
    executor([teacher])
    arms = {arm.name: arm for arm in plan.SMOKE_PLAN.classification.arms}

    def make(name, *more):
        return Run(arms[name].config, 1, 0.1, (
            *arms[name].options, *more, *TINY), identify(teacher))

    plain = make('fixed')
    watched = make('fixed', *arms['fixed'].watched)
    both = make('driven', *arms['auto_phases'].options)
    results = executor([plain, watched, both])

    assert results[plain].val == results[watched].val
    for run in (watched, both):
        reports = streams.read_reports(executor.folder(run) / 'mmengine')
        assert [line['iter'] for line in reports] == [4]
        assert {f'gsnr/{stream}' for stream in streams.STREAMS} <= set(
            reports[0])
        assert 'backbone.layers.0' in streams.parts({0: reports})
    assert reports[0]['gsnr_smooth/task'] == pytest.approx(
        reports[0]['gsnr/task'])
    choice = streams.read_choice(executor.folder(both) / 'mmengine')
    assert 1 <= choice.k <= 99 and 'auto: ' in choice.reason
    assert not list(executor.folder(plain).glob('mmengine/*/streams.jsonl'))


@pytest.mark.parametrize('low, nearly', [(78, True), (59, False)])
def test_a_teacher_is_flat_if_it_gets_what_a_flat_one_gets(low, nearly):
    auto = [arm for arm in plan.FULL.topk if 'auto' in arm.name]
    choices = {arm.title: [Choice(low if '_low' in arm.name else 94, '')]
               for arm in auto}

    assert ('nearly flat' in results.flat_choice(auto, choices)) == nearly
