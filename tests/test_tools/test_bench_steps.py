import json
import math
import os
import time
from pathlib import Path

import pytest
from mmengine.config import Config

from tools.bench_steps import arms, plot, report, statistic, tuning
from tools.bench_steps.benchmark import Benchmark
from tools.bench_steps.executor import Executor, describe
from tools.bench_steps.pool import Task, TaskError, run_tasks
from tools.bench_steps.runs import (
    ROOT,
    Result,
    Run,
    code_hash,
    identify,
    resolve,
)
from tools.bench_steps.trials import attempt

PLAN = arms.FULL._replace(max_extensions=2)
FACTS = report.Facts('make bench-digits', 31.4, 200, 240, 60.0, 'a/b.pth',
                     'Two nets.', 'a processor', 'torch 2', 'abc',
                     '2026-01-01')


class FakeExecutor:
    """Answers with an accuracy that a formula gives."""

    def __init__(self, best):
        self.best = best
        self.expected = 0
        self.asked = []

    def __call__(self, runs, beside=()):
        self.asked.append(list(runs))
        return {run: self.answer(run) for run in runs}

    def answer(self, run):
        best = self.best.get(Path(run.config).name.split('_resnet')[0], 0.4)
        # The best rate costs nothing, each factor of two a point.
        loss = 0 if run.rate is None else abs(math.log2(run.rate / best))
        score = 80 - loss + 0.2 * (run.seed % 10)
        return Result(score, score - 1 if run.test else None, 10.0)


@pytest.fixture(scope='module')
def course():
    """Run the whole plan on the fake: baseline and DOT are at the edges."""
    executor = FakeExecutor({'baseline': 3.2, 'dot': 0.0001})
    said = []
    return executor, Benchmark(PLAN, executor, said.append)(), said


def test_fourteen_methods_are_compared():
    names = [arm.name for arm in arms.FULL.arms]

    assert len(set(names)) == 14
    for arm in arms.FULL.arms:
        assert (ROOT / arm.config).is_file()


def test_the_plan_is_the_promised_one():
    plan = arms.FULL

    assert len(plan.rates) >= 4 and plan.rates[-1] >= 8 * plan.rates[0]
    assert len(plan.seeds) >= 5 and len(plan.tuning_seeds) == 2
    assert not set(plan.seeds) & set(plan.tuning_seeds)
    assert len(plan.ablation_seeds) == 3
    assert [list(ablation.settings) for ablation in plan.ablations] == [
        ['0', '0.025', '0.05', '0.075'], ['5', '20', '40', '99'],
        ['0.15, 0.5', '0.3, 0.7', '0.5, 0.85']
    ]


def test_overrides_change_settings_that_the_configs_have():
    """A misspelt key would silently be a new one."""
    for arm in arms.FULL.arms:
        shipped = Config.fromfile(ROOT / arm.config)
        settings = [arm.options]
        if arm.name == arms.FULL.ablated:
            settings += [options for ablation in arms.FULL.ablations
                         for options in ablation.settings.values()]
        for key, value in [pair for options in settings for pair in options]:
            *path, last = key.split('.')
            node = shipped
            for part in path:
                node = node[part]
            if node.get('type') == 'mmdeepkd.DynamicTopKHook':
                assert last in ('static_k', 'phases')
            else:
                assert last in node
            cfg = resolve(Run(arm.config, 0, 0.3, ((key, value), )))
            for part in path:
                cfg = cfg[part]
            assert cfg[last] == value


def test_a_run_has_its_seed_and_rate():
    cfg = resolve(Run(arms.STUDENT, 7, 0.3))

    assert cfg.randomness.seed == 7
    assert cfg.optim_wrapper.optimizer.lr == 0.3


def test_equal_arms_are_equal_but_for_method(course):
    """Data, schedule, network and weight decay are the plain student's."""
    plain = Config.fromfile(ROOT / arms.STUDENT)
    for arm in arms.FULL.arms[1:]:
        cfg = Config.fromfile(ROOT / arm.config)
        assert cfg.model.student == plain.model
        for key in ('param_scheduler', 'train_cfg', 'val_dataloader',
                    'test_dataloader'):
            assert cfg[key] == plain[key]
        assert cfg.train_dataloader.batch_size == (
            plain.train_dataloader.batch_size)
        for key in ('type', 'momentum', 'weight_decay'):
            assert cfg.optim_wrapper.optimizer[key] == (
                plain.optim_wrapper.optimizer[key])


def test_every_arm_gets_the_same_grid_and_seeds(course):
    executor, outcome, _ = course
    first = executor.asked[1]

    assert len(first) == 14 * 4 * 2
    for arm in PLAN.arms:
        assert set(PLAN.rates) <= set(outcome.tries[arm.name])
        assert all(len(vals) == 2 for vals in outcome.tries[arm.name].values())
    assert not any(run.test for run in first)


def test_the_grid_is_extended_until_the_best_is_inside(course):
    _, outcome, _ = course
    top = PLAN.rates[-1]

    assert outcome.rates['kd'] == 0.4
    assert sorted(outcome.tries['kd']) == list(PLAN.rates)
    # Found by one extension beyond it.
    assert outcome.rates['alone'] == 3.2 == 2 * top
    assert sorted(outcome.tries['alone'])[-2:] == [3.2, 6.4]
    # Never inside: two extensions, then the edge.
    assert sorted(outcome.tries['dot'])[:2] == [
        PLAN.rates[0] / 4, PLAN.rates[0] / 2]
    assert tuning.on_edge(outcome.tries['dot'])


def test_final_runs_use_the_chosen_rate_other_seeds_and_the_test_split(
        course):
    executor, outcome, _ = course
    finals = [run for run in executor.asked[-2]]

    assert len(finals) == 14 * 8
    assert all(run.test and run.seed in PLAN.seeds for run in finals)
    rates = {run.rate for run in finals if run.config == arms.STUDENT}
    assert rates == {3.2}
    assert outcome.final['kd'][3].test == pytest.approx(79.6)


def test_ablations_share_runs_with_the_finals(course):
    """The default setting is no second training."""
    executor, outcome, _ = course
    finals = {identify(run) for run in executor.asked[-2]}
    ablated = [identify(run) for run in executor.asked[-1]]

    assert len(outcome.ablations) == 11 and len(ablated) == 33
    # delta 0.05 and phases .3, .7 are the dynamic arm itself; K 40 and 99
    # are the static arm and the one without a mask, as all rates are 0.4.
    assert sum(key in finals for key in ablated) == 4 * 3
    assert all(setting.rate == 0.4 for setting in outcome.ablations)


def test_students_know_their_teacher_and_the_baseline_none(course):
    executor, _, _ = course
    teacher = identify(executor.asked[0][0])

    for run in executor.asked[1]:
        assert run.teacher == (None if run.config == arms.STUDENT else
                               teacher)


def test_the_edge_of_the_grid_by_hand():
    tries = {0.1: [1., 3.], 0.2: [4., 2.], 0.4: [3., 2.]}

    assert tuning.best_rate(tries) == 0.2
    assert tuning.extension(tries, (0.1, 0.2, 0.4), 3) is None
    tries[0.4] = [9., 9.]
    assert tuning.extension(tries, (0.1, 0.2, 0.4), 3) == 0.8
    assert tuning.extension(tries, (0.1, 0.2), 1) is None
    tries[0.1] = [9., 9.]
    # Of equals the smaller one.
    assert tuning.best_rate(tries) == 0.1
    assert tuning.extension(tries, (0.1, 0.2, 0.4), 3) == 0.05


def test_statistics_by_hand():
    found = statistic.paired({1: 5., 2: 7., 3: 9.}, {3: 6., 2: 5., 1: 4.})

    assert (found.mean, found.sd, found.count) == (2.0, 1.0, 3)
    assert found.error == pytest.approx(1 / math.sqrt(3))
    assert math.isnan(statistic.estimate([3.]).sd)
    with pytest.raises(ValueError, match=r'seeds \[1\] and \[2\] cannot be'):
        statistic.paired({1: 0.}, {2: 0.})


def test_the_page_has_the_numbers(course, tmp_path):
    _, outcome, _ = course
    text = report.page(PLAN, outcome, FACTS, 'x.png')
    rows = [[cell.strip() for cell in line.split('|')[1:-1]]
            for line in text.splitlines() if line.startswith('| KD ')]

    assert '`make bench-digits`, 31 minutes' in text
    words = ' '.join(text.split())
    assert '40 of the runs had' in words
    assert '`default_hooks.topk.phases="(0.0,1.0)"`' in text
    assert max(len(line) for line in text.splitlines()
               if '|' not in line) <= 79
    # 80 - 1 + the mean of 0, .2, .4, .6, .8; every seed differs alike.
    assert rows[0] == ['KD', '0.4', '79.70 ± 0.49', '+0.00 ± 0.00', '',
                       '+0.00 ± 0.00']
    # 80 + the mean of 0 and .2, in bold; two factors of two off at 1.6.
    assert '**80.1**' in rows[1] and '78.1' in rows[1]
    assert 'Best at the edge of what was tried: DOT over KD.' in words
    plot.draw(PLAN, outcome, tmp_path / 'a' / 'x.png')
    assert (tmp_path / 'a' / 'x.png').stat().st_size > 5000


def test_identity_is_what_decides_the_result(tmp_path):
    run = Run(arms.STUDENT, 0, 0.1)

    assert identify(run) == identify(Run(arms.STUDENT, 0, 0.1))
    others = [run._replace(seed=1), run._replace(rate=0.2),
              run._replace(teacher='x'), run._replace(test=True),
              run._replace(options=(('train_cfg.max_epochs', 3), ))]
    assert len({identify(other) for other in [run, *others]}) == 6


@pytest.mark.parametrize('text, same', [
    ('def f(x):\n    """Other words."""\n    return x  # here\n', True),
    ('def f(x):\n    return (x)\n', True),
    ('def f(x):\n    return x + 1\n', False),
    ('def f(x, y=0):\n    """Words."""\n    return x\n', False),
])
def test_code_counts_and_its_description_does_not(text, same, tmp_path):
    file = tmp_path / 'a.py'
    file.write_text('def f(x):\n    """Words."""\n    return x\n')
    before = code_hash([file])
    file.write_text(text)

    assert (code_hash([file]) == before) == same


def test_tasks_run_two_at_a_time_and_keep_their_output(tmp_path):
    def work(name):
        print('this is', name)
        (tmp_path / f'{name}.begin').write_text(str(time.time()))
        time.sleep(0.3)
        (tmp_path / f'{name}.end').write_text(str(time.time()))

    tasks = [Task(name, lambda name=name: work(name),
                  tmp_path / f'{name}.txt') for name in 'abc']
    done = []
    run_tasks(tasks, 2, lambda task: done.append(task.name))

    assert sorted(done) == ['a', 'b', 'c']
    assert (tmp_path / 'b.txt').read_text() == 'this is b\n'
    times = {file.name: float(file.read_text())
             for file in tmp_path.glob('*.*') if file.suffix != '.txt'}
    assert times['b.begin'] < times['a.end']
    assert times['c.begin'] >= min(times['a.end'], times['b.end'])


def diverge():
    raise FloatingPointError('iteration 32: loss_kd is inf')


def test_a_training_that_diverges_counts_as_0(tmp_path):
    for test, expected in ((False, None), (True, 0.0)):
        attempt(diverge, test, tmp_path)

        result = json.loads((tmp_path / 'result.json').read_text())
        assert result.pop('seconds') >= 0
        assert result == dict(val=0.0, test=expected)

    def fail():
        raise RuntimeError('another reason')

    with pytest.raises(RuntimeError, match='another reason'):
        attempt(fail, False, tmp_path)


def test_students_may_diverge_and_the_teacher_may_not(tmp_path, monkeypatch):
    monkeypatch.setattr('tools.bench_steps.executor.train',
                        lambda *args: diverge())
    executor = Executor(tmp_path, 1, print)
    student, teacher = Run(arms.STUDENT, 0), Run(arms.TEACHER, 0)
    task = executor.task(student)
    # As the pool does, for the log.
    executor.folder(student).mkdir(parents=True)
    task.work()
    assert executor.done(student)

    with pytest.raises(FloatingPointError):
        executor.task(teacher).work()


def test_a_failing_task_ends_the_others_and_names_its_log(tmp_path):
    def fail():
        raise RuntimeError('no such teacher')

    def wait():
        time.sleep(60)

    tasks = [Task('the slow one', wait, tmp_path / 'slow.txt'),
             Task('the bad one', fail, tmp_path / 'bad.txt')]
    start = time.time()
    with pytest.raises(TaskError) as caught:
        run_tasks(tasks, 2, print)

    assert str(caught.value) == (
        f'the bad one failed; its log is {tmp_path / "bad.txt"}')
    assert 'RuntimeError: no such teacher' in (
        tmp_path / 'bad.txt').read_text()
    assert time.time() - start < 30


TINY = (('train_cfg.max_epochs', 1), ('train_cfg.val_interval', 1),
        ('train_dataloader.dataset.indices', 128),
        ('val_dataloader.dataset.indices', 100),
        ('test_dataloader.dataset.indices', 100))


def test_teacher_and_student_are_trained_once_and_then_known(tmp_path):
    """Through MMEngine's Runner, in forked processes."""
    said = []
    executor = Executor(tmp_path, 2, said.append)
    teacher = Run(arms.TEACHER, 0, options=TINY, test=True)
    student = Run(arms.FULL.arms[1].config, 1, 0.1, TINY, identify(teacher))
    first = {**executor([teacher]), **executor([student])}

    assert executor.trained == 2 and len(said) == 2
    assert executor.checkpoint(teacher).is_file()
    assert not executor.checkpoint(student).exists()
    assert first[teacher].test is not None and first[student].test is None
    assert 0 <= first[student].val <= 100
    again = Executor(tmp_path, 2, said.append)
    assert {**again([student, teacher])} == first
    assert again.trained == 0 and len(said) == 2
    assert describe(student) in said[1]


def test_an_interrupted_run_is_trained_again(tmp_path):
    run = Run(arms.STUDENT, 0, 0.1, TINY)
    folder = tmp_path / identify(run)
    (folder / 'mmengine').mkdir(parents=True)
    (folder / 'result.json.draft').write_text('{"val": 1')
    executor = Executor(tmp_path, 1, print)

    # The baseline's own number of loaders, spelt out: the same training.
    same = run._replace(options=(*TINY, ('train_dataloader.num_workers', 0)))
    results = executor([run, same])
    found = results[run]
    assert results[same] == found
    assert executor.trained == 1
    assert not (folder / 'result.json.draft').exists()
    assert json.loads((folder / 'result.json').read_text()) == {
        'val': found.val, 'test': None, 'seconds': found.seconds}
    assert os.listdir(tmp_path) == [folder.name]
