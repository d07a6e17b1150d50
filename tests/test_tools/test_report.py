"""tools/analysis/report.py: what it reads, and what it makes of it."""
import json
import math
import sys
from types import SimpleNamespace

import pytest

from tests.helpers.classifier_runs import train_classifier
from tests.helpers.classifiers import distiller_config, resnet, write_teacher
from tests.helpers.work_dirs import (
    STREAMS,
    train_line,
    val_line,
    write_distilled_run,
    write_plain_run,
    write_session,
)
from tools.analysis import report
from tools.analysis.report_steps import charts, colors, compared, curves
from tools.analysis.report_steps import streams as stream_sections
from tools.analysis.report_steps.charts import Line
from tools.analysis.report_steps.layout import choose_colors
from tools.analysis.report_steps.overview import overview
from tools.analysis.report_steps.runs import read_run, read_runs

SECTIONS = ('runs', 'metrics', 'losses', 'gsnr', 'momenta', 'gradients',
            'topk', 'agreement', 'lr', 'detections')


@pytest.fixture
def distilled(tmp_path):
    return read_run(write_distilled_run(tmp_path / 'deepkd'), 'deepkd')


@pytest.fixture
def plain(tmp_path):
    return read_run(write_plain_run(tmp_path / 'plain'), 'plain')


@pytest.fixture
def drawn(monkeypatch):
    """Lines of every chart that is drawn, by the name of its file."""
    found = {}

    def chart(name, caption, lines, *args, **kwargs):
        found[name] = {line.label: (line.xs, line.ys) for line in lines}
        return original(name, caption, lines, *args, **kwargs)

    original = charts.chart
    monkeypatch.setattr(compared, 'chart', chart)
    monkeypatch.setattr(stream_sections, 'chart', chart)
    return found


def run_report(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['report.py', *map(str, arguments)])
    report.main()


def sections_of(runs):
    args = SimpleNamespace(logs_only=True, images=4)
    return {each.name: each for each in report.make_sections(runs, args)}


def cells(run):
    table = overview([run]).tables[0]
    return dict(zip(table.head, table.rows[0]))


def test_page_and_figures_are_written(tmp_path, monkeypatch, capsys):
    run_report(monkeypatch, write_distilled_run(tmp_path / 'deepkd'),
               write_plain_run(tmp_path / 'plain'), '--out',
               tmp_path / 'out', '--names', 'DeepKD <1>', 'plain')

    page = (tmp_path / 'out' / 'report.html').read_text()
    figures = sorted(path.stem for path in (tmp_path / 'out').glob('*.png'))
    assert [page.index(f'<section id="{name}">') for name in SECTIONS] == (
        sorted(page.index(f'<section id="{name}">') for name in SECTIONS))
    assert figures == [
        'agreement', 'grad_cosine_1', 'grad_norm_1', 'grad_ratio_1', 'gsnr_1',
        'gsnr_parts_1', 'losses_1', 'losses_2', 'lr', 'metric', 'momentum_1',
        'topk']
    assert page.count('<img src="data:image/png;base64,') == len(figures)
    assert page.count('<figcaption>') == len(figures)
    assert 'DeepKD &lt;1&gt;' in page and 'DeepKD <1>' not in page
    assert 'report.html' in capsys.readouterr().out


def test_without_data_a_sentence_instead_of_a_plot(plain):
    found = sections_of([plain])

    assert [name for name, each in found.items() if each.figures] == [
        'metrics', 'losses', 'lr']
    assert all(bool(each.text) != bool(each.figures)
               for each in found.values())


def test_a_run_that_has_just_begun(tmp_path):
    write_session(tmp_path / 'new')
    found = sections_of([read_run(tmp_path / 'new', 'new')])

    assert all(each.text and not each.figures
               for name, each in found.items() if name != 'runs')
    assert found['runs'].tables[0].rows[0][1:7] == ['–'] * 6


def test_the_table_of_runs(distilled, plain):
    assert cells(distilled) == {
        'run': 'deepkd', 'iterations': '40 (epoch 2)',
        'metric (%)': 'accuracy/top1', 'final': '64.0', 'best': '64.0',
        'ms per iteration': '250', 'peak memory (MB)': '1000',
        'total time': '0:01:05', 'config': '–',
        'versions': 'mmdeepkd 0.1.0, torch 2.1.2'}
    assert cells(plain)['peak memory (MB)'] == '–'


def test_the_best_is_not_the_last_and_map_is_in_per_cent(tmp_path):
    run = read_run(write_plain_run(tmp_path / 'run', 'coco/bbox_mAP',
                                   (0.25, 0.125)), 'run')

    assert [cells(run)[key] for key in ('final', 'best')] == ['12.5', '25.0']


def test_the_planned_epochs_are_those_of_the_config(tmp_path):
    write_plain_run(tmp_path / 'run')
    (tmp_path / 'run' / 'own.py').write_text(
        'train_cfg = dict(max_epochs=7)')

    found = cells(read_run(tmp_path / 'run', 'run'))
    assert found['iterations'] == '40 (epoch 2 of 7)'
    assert found['config'] == 'own.py'


def test_a_resumed_run_replaces_what_it_repeats(tmp_path):
    write_session(tmp_path, '20260101_000000', [
        train_line(10, 1, loss_cls=1.), val_line(1, **{'accuracy/top1': 10.}),
        train_line(20, 2, loss_cls=2.), val_line(2, **{'accuracy/top1': 20.}),
    ], [{'iter': 5, 'gsnr/task': 1.}, {'iter': 18, 'gsnr/task': 2.}])
    # Resumed from epoch 1; a test later on trains nothing.
    write_session(tmp_path, '20260102_000000', [
        train_line(20, 2, loss_cls=3.), val_line(2, **{'accuracy/top1': 30.}),
    ], [{'iter': 21, 'gsnr/task': 3.}])
    write_session(tmp_path, '20260103_000000', [
        val_line(0, **{'accuracy/top1': 99.})])
    run = read_run(tmp_path, 'run')

    assert curves.loss_curves(run)['task'] == ([10, 20], [1, 3])
    assert curves.metric_curve(run, 'accuracy/top1', True) == (
        [1, 2], [10, 30])
    assert curves.family(run.records.streams, 'gsnr')['task'] == (
        [5, 18, 21], [1, 2, 3])
    assert cells(run)['total time'] == '0:03:15'


def test_broken_lines_are_skipped_and_counted(tmp_path):
    folder = write_session(tmp_path, scalars=[train_line(10, loss_cls=1.)],
                           streams=[{'iter': 10, 'gsnr/task': 1.}])
    with (folder / 'vis_data' / 'scalars.json').open('a') as file:
        file.write('[1, 2]\n{"loss": 2.0, "it')
    with (folder / 'streams.jsonl').open('a') as file:
        file.write('{"gsnr/task": 1.0}\n')
    run = read_run(tmp_path, 'run')

    assert run.records.broken == 3
    assert overview([run]).text[1:] == [
        'run: 3 broken lines of its logs were skipped.']
    assert len(run.records.train) == len(run.records.streams) == 1


def test_reports_of_the_visualizer_do_where_the_file_is_missing(tmp_path):
    folder = write_session(tmp_path, scalars=[
        train_line(10, loss_cls=1.), {'gsnr/task': 0.5, 'step': 12}])
    assert curves.family(read_run(tmp_path, 'run').records.streams,
                         'gsnr') == {'task': ([12], [0.5])}

    (folder / 'streams.jsonl').write_text(
        json.dumps({'iter': 12, 'gsnr/task': 0.25}))
    assert curves.family(read_run(tmp_path, 'run').records.streams,
                         'gsnr') == {'task': ([12], [0.25])}


def test_losses_by_stream(distilled, plain, tmp_path):
    found = curves.loss_curves(distilled)
    assert list(found) == list(STREAMS)
    assert found['task'].ys == [2.0, 1.0, 2 / 3, 0.5]
    assert curves.loss_curves(plain)['task'].ys == [2.0] * 4

    # A stream of one's own is known from the reports.
    write_session(tmp_path / 'own', scalars=[
        train_line(10, **{'mine.loss_x': 4., 'd0.loss_cls': 1.})],
        streams=[{'iter': 10, 'gsnr/mine': 1., 'gsnr/task': 1.}])
    own = read_run(tmp_path / 'own', 'own')
    assert curves.loss_curves(own) == {'task': ([10], [1]),
                                       'mine': ([10], [4])}
    assert 'mine' in choose_colors([own]).streams

    # Without logged losses those of the reports do.
    write_session(tmp_path / 'few', scalars=[], streams=[
        {'iter': 10, 'stream_loss/task': 3.}])
    assert curves.loss_curves(read_run(tmp_path / 'few', 'few')) == {
        'task': ([10], [3])}


def test_iterations_unless_all_runs_count_epochs(distilled, tmp_path, drawn):
    write_session(tmp_path / 'iters', scalars=[
        train_line(10), val_line(10, **{'accuracy/top1': 5.}),
        train_line(20), val_line(20, **{'accuracy/top1': 6.})])
    by_iter = read_run(tmp_path / 'iters', 'iters')
    runs = [distilled, by_iter]

    compared.metrics([distilled], choose_colors([distilled]))
    assert drawn.pop('metric') == {'deepkd': ([1, 2], [62, 64])}
    compared.metrics(runs, choose_colors(runs))
    assert drawn['metric'] == {'deepkd': ([20, 40], [62, 64]),
                               'iters': ([10, 20], [5, 6])}


def test_what_the_stream_charts_show(distilled, drawn):
    sections_of([distilled])
    times = [8, 18, 28, 38]

    # Never finite: non_target is not drawn.
    assert list(drawn['gsnr_1']) == [
        'task', 'target', *(f'{name}, smoothed' for name in STREAMS)]
    assert drawn['gsnr_1']['target'] == (
        times, pytest.approx([0.003, 0.001, -0.001, -0.003]))
    assert drawn['momentum_1']['target'][1] == pytest.approx([0.85] * 4)
    assert list(drawn['grad_cosine_1']) == [
        'task-target', 'task-non_target', 'target-non_target']
    assert drawn['grad_ratio_1']['target'] == (times, [0.1] * 4)
    assert drawn['topk'] == {'deepkd': ([10, 20, 30, 40], [3, 6, 9, 12])}
    assert drawn['agreement'] == {'deepkd': (times, [50] * 4)}


def test_parts_have_a_panel_each(distilled, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        stream_sections, 'multiples', lambda name, caption, panels, *rest:
        seen.update(panels))
    stream_sections.gsnr([distilled], choose_colors([distilled]))

    assert list(seen) == ['backbone.layer1', 'head']
    assert seen['head'][1].label == 'target'
    assert seen['head'][1].ys[0] == pytest.approx(0.006)


@pytest.mark.parametrize('values,scale', [
    ([1, 2, 3], 'linear'), ([0.001, 1.0], 'log'), ([-1e-4, 1e-4, 1], 'symlog'),
    ([math.nan, 1, 2], 'linear'), ([0, 0], 'linear')])
def test_scales(values, scale, monkeypatch):
    kept = []
    monkeypatch.setattr(charts, 'png', lambda figure: kept.append(figure))
    line = Line('a', [1, 2, 3][:len(values)], values, 'red')
    charts.chart('name', 'caption', [line], 'x', 'y')
    charts.chart('name', 'caption', [line], 'x', 'y', linear=True)

    assert [figure.axes[0].get_yscale() for figure in kept] == [
        scale, 'linear']
    assert bool(kept[0].axes[0].patches) == (min(values) < 0)
    low, high = kept[0].axes[0].get_ylim()
    finite = [y for y in values if math.isfinite(y)]
    assert low <= min(finite) and max(finite) <= high


def test_panels_share_limits_that_hold_all_values(monkeypatch):
    kept = []
    monkeypatch.setattr(charts, 'png', lambda figure: kept.append(figure))
    charts.multiples('name', 'caption', {
        name: [Line('task', [1, 2], values, 'red')] for name, values in
        dict(a=[0.1, -0.1], b=[0.1, 90.], c=[-80., math.nan]).items()},
        'x', 'y')

    axes = kept[0].axes
    assert [axis.get_title() for axis in axes] == ['a', 'b', 'c', '']
    assert all(axis.get_ylim()[0] < -80 and axis.get_ylim()[1] > 90
               for axis in axes[:3])
    assert [len(axis.patches) for axis in axes[:3]] == [1] * 3
    assert [axis.axison for axis in axes] == [True] * 3 + [False]


def test_a_dashed_line_is_named_by_its_solid_one(monkeypatch):
    kept = []
    monkeypatch.setattr(charts, 'png', lambda figure: kept.append(figure))
    charts.chart('name', 'caption', [
        Line('a', [1], [1], 'red'), Line('a, smoothed', [1], [2], 'red', True),
        Line('b, smoothed', [1], [2], 'blue', True)], 'x', 'y')

    assert [text.get_text() for text in
            kept[0].axes[0].get_legend().get_texts()] == ['a', 'b, smoothed']


def test_alternative_texts_tell_the_values():
    found = charts.chart('name', 'caption', [
        Line('task', [1, 2, 3], [math.nan, 0.5, 0.25], 'red')], 'x', 'loss')

    assert found.alt == 'Line chart of loss by x. task from 0.5 to 0.25.'
    assert found.png.startswith(b'\x89PNG')


def test_a_stream_and_a_run_have_one_colour_each():
    first = colors.stream_colors(['task', 'mine'])
    second = colors.stream_colors(['mine', 'other', 'target'])

    assert first['task'] == second['task']
    assert len(set(second.values())) == len(second)
    assert len(set(colors.run_colors('abcdefghij').values())) == 10


@pytest.mark.parametrize('make,arguments,said', [
    (lambda root: None, ['{0}/none'], 'report: there is no work directory'),
    (lambda root: (root / 'a').mkdir(), ['{0}/a'],
     'report: {0}/a holds no run: no TIMESTAMP/vis_data/scalars.json, which '
     'MMEngine writes with a LocalVisBackend; give the work directory of a '
     'training.'),
    (lambda root: write_plain_run(root / 'a' / 'b'), ['{0}/a'],
     r'give the folders in it (b).'),
    (lambda root: write_plain_run(root / 'a'), ['{0}/a/20260101_100000'],
     'give its parent, {0}/a.'),
    (lambda root: write_plain_run(root / 'a'),
     ['{0}/a', '--names', 'b', 'c'],
     'report: --names gives 2 names for 1 work directories: give one each.'),
    (lambda root: write_plain_run(root / 'a'), ['{0}/a', '{0}/a'],
     'report: two runs are called'),
    (lambda root: write_plain_run(root / 'a'), ['{0}/a', '--images', '-1'],
     'report: --images must be at least 0, got -1.')])
def test_errors_are_one_sentence(make, arguments, said, tmp_path,
                                 monkeypatch):
    make(tmp_path)
    with pytest.raises(SystemExit) as caught:
        run_report(monkeypatch, *(each.format(tmp_path)
                                  for each in arguments),
                   '--out', tmp_path / 'out')

    assert said.format(tmp_path) in str(caught.value)
    assert not (tmp_path / 'out').exists()


def test_folders_of_one_name_are_told_apart(tmp_path):
    folders = [write_plain_run(tmp_path / parent / 'run')
               for parent in ('a', 'b')]

    assert [run.name for run in read_runs(folders)] == ['a/run', 'b/run']


def test_a_config_that_cannot_be_read_costs_the_detections_only(tmp_path):
    write_plain_run(tmp_path / 'run')
    (tmp_path / 'run' / 'own.py').write_text(
        "custom_imports = dict(imports=['no_such_package'])")
    run = read_run(tmp_path / 'run', 'run')

    assert run.cfg is None and run.config_name == 'own.py'
    assert sections_of([run])['metrics'].figures


def test_a_real_run_with_its_hook(tmp_path):
    from mmdeepkd.engine import GSNRHook
    teacher = resnet()
    config = distiller_config(
        resnet(), teacher, write_teacher(teacher, tmp_path / 'teacher.pth'))
    train_classifier(
        config,
        dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05,
             optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        tmp_path / 'run', iterations=8,
        custom_hooks=[GSNRHook(interval=4, samples=4)],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)))
    run = read_run(tmp_path / 'run', 'run')
    found = sections_of([run])

    assert not run.records.broken
    assert [r['iter'] for r in run.records.train] == [*range(1, 9)]
    assert list(curves.loss_curves(run)) == list(STREAMS)
    assert {name for name, each in found.items() if each.figures} == {
        'losses', 'gsnr', 'momenta', 'gradients', 'agreement', 'lr'}
    for kind in ('gsnr', 'momentum', 'grad_norm'):
        times = curves.family(run.records.streams, kind)
        assert list(times) == list(STREAMS)
        assert all(each.xs == [4, 8] for each in times.values())
    assert cells(run)['iterations'].startswith('8')
