"""tools/analysis/report.py: what it reads, and what it makes of it."""
import json
import math
import re
import sys
from types import SimpleNamespace

import pytest
from mmengine.config import Config

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
from tools.analysis.report_steps.layout import choose_colors, lines_of
from tools.analysis.report_steps.legends import wrapped
from tools.analysis.report_steps.overview import overview
from tools.analysis.report_steps.runs import read_run, read_runs

SECTIONS = ('runs', 'metrics', 'losses', 'gsnr', 'momenta', 'gradients',
            'feature_curves', 'topk', 'agreement', 'lr', 'features',
            'detections')


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


@pytest.mark.parametrize('epoch, planned, told', [
    (2, 'max_epochs', '40 (epoch 2 of 7)'), (None, 'max_iters', '40 of 7')],
    ids=['epochs', 'iterations'])
def test_what_is_planned_is_in_the_config(tmp_path, epoch, planned, told):
    text = f'train_cfg = dict({planned}=7)'
    write_session(tmp_path, scalars=[train_line(40, epoch)], config=text)
    (tmp_path / 'own.py').write_text(text)

    found = cells(read_run(tmp_path, 'run'))
    assert found['iterations'] == told
    assert found['config'] == 'own.py'


def test_the_config_is_that_of_the_last_training(tmp_path):
    for day, lines in enumerate([[train_line(10)], [train_line(20)],
                                 [val_line(0, **{'accuracy/top1': 1.})]], 1):
        write_session(tmp_path, f'2026010{day}_000000', lines,
                      config=f'number = {day}')
    (tmp_path / 'own.py').write_text('number = 2')
    # Newer, and anybody's: it is not to be executed.
    (tmp_path / 'plot.py').write_text(
        f"open({str(tmp_path / 'executed')!r}, 'w').close()")
    run = read_run(tmp_path, 'run')

    assert run.cfg.number == 2 and run.config_name == 'own.py'
    assert not (tmp_path / 'executed').exists()


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
    # Not of the one that trained nothing.
    assert cells(run)['total time'] == '0:02:10'


def test_a_training_begun_anew_takes_no_time_from_the_old_one(tmp_path):
    for day in (1, 2, 3):
        # The third only validates.
        write_session(tmp_path, f'2026010{day}_000000', [
            train_line(10) if day < 3 else val_line(0)])

    assert cells(read_run(tmp_path, 'run'))['total time'] == '0:01:05'


@pytest.mark.parametrize('epoch, step, wanted', [
    (3, 3, [20, 40]), (None, 30, [20, 30]), (None, 0, [20, 40])],
    ids=['epochs', 'iterations', 'no number'])
def test_a_validation_before_the_first_line_of_a_session(tmp_path, epoch,
                                                         step, wanted):
    write_session(tmp_path, '20260101_000000', [
        train_line(20, epoch and 1), val_line(epoch and 1 or step and 20,
                                              metric=1.),
        *([] if step == 30 else [train_line(40, epoch and 2)])])
    write_session(tmp_path, '20260102_000000', [
        val_line(step, metric=2.), train_line(60, epoch and 3)])
    run = read_run(tmp_path, 'run')

    assert curves.metric_curve(run, 'metric', False) == (wanted, [1, 2])


def test_curves_are_sorted():
    assert curves.curve([dict(iter=2, a=5.), dict(iter=1, a=6.)], 'a') == (
        [1, 2], [6, 5])


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


def test_validations_may_be_numbered_by_iterations(tmp_path):
    write_session(tmp_path, scalars=[
        train_line(10, 1), val_line(10, **{'accuracy/top1': 5.}),
        train_line(20, 2), val_line(20, **{'accuracy/top1': 6.})])
    run = read_run(tmp_path, 'run')

    assert not curves.counts_epochs(run)


def test_a_metric_that_is_never_finite_is_left_out(tmp_path):
    write_session(tmp_path, scalars=[
        train_line(10, 1), val_line(1, **{'coco/bbox_mAP': math.nan})])
    run = read_run(tmp_path, 'run')
    assert curves.metric_name(run) is None
    assert not sections_of([run])['metrics'].figures

    write_session(tmp_path, scalars=[
        train_line(10, 1), val_line(1, **{'coco/bbox_mAP': math.nan,
                                          'other': 1.})])
    assert curves.metric_name(read_run(tmp_path, 'run')) == 'other'


@pytest.mark.parametrize('make, logged, reported, wanted', [
    (compared.learning_rates, dict(lr=0.1, base_lr=0.2), {}, 0.1),
    (compared.learning_rates, dict(base_lr=0.2), {}, 0.2),
    (compared.topk, dict(topk=3), dict(topk=5), 3),
    (compared.topk, {}, dict(topk=5), 5)],
    ids=['lr', 'base_lr', 'topk', 'topk of the reports'])
def test_what_stands_in_where_the_log_lacks_it(tmp_path, drawn, make, logged,
                                               reported, wanted):
    write_session(tmp_path, scalars=[dict(iter=10, **logged)],
                  streams=[dict(iter=10, **reported)])
    run = read_run(tmp_path, 'run')
    make([run], choose_colors([run]))

    assert list(drawn.values()) == [{'run': ([10], [wanted])}]


@pytest.mark.parametrize('name, wanted', [
    ('train/loss', 'loss'), ('val/coco/bbox_mAP', 'coco/bbox_mAP'),
    ('coco/bbox_mAP', 'coco/bbox_mAP'), ('train', 'train')])
def test_names_of_a_hierarchical_log_are_plain(tmp_path, name, wanted):
    write_session(tmp_path, scalars=[{'iter': 10, name: 0.5}])

    assert read_run(tmp_path, 'run').records.train == [
        {'iter': 10, wanted: 0.5}]


def test_the_advice_is_a_config_that_mmengine_reads(plain):
    text, = sections_of([plain])['gsnr'].text

    hook = dict(type='mmdeepkd.GSNRHook')
    assert "default_hooks=dict(gsnr=dict(type='mmdeepkd.GSNRHook'))" in text
    option = re.search(r'--cfg-options ([\w.]+)=([\w.]+) ', text)
    cfg = Config(dict(default_hooks=dict(timer=dict(type='IterTimerHook'))))
    cfg.merge_from_dict(dict([option.groups()]))
    assert cfg.default_hooks == dict(
        timer=dict(type='IterTimerHook'), gsnr=hook)


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
            kept[0].legends[0].get_texts()] == ['a', 'b, smoothed']


@pytest.mark.parametrize('names', [
    ['task', 'target'], ['a_long_name_of_a_run_that_says_all_' * 3, 'b'],
    ['M' * 60, 'W'], [f'RUN_NUMBER_{i}' for i in range(14)]],
    ids=['short', 'long', 'wide', 'many'])
@pytest.mark.parametrize('kind', ['chart', 'multiples', 'bars'])
def test_a_legend_covers_nothing_and_is_whole(kind, names, monkeypatch):
    kept = []
    monkeypatch.setattr(charts, 'png', lambda figure: kept.append(figure))
    lines = [Line(name, [1, 2], [0, i], 'red')
             for i, name in enumerate(names)]
    if kind == 'chart':
        charts.chart('name', 'caption', lines, 'x', 'y')
    elif kind == 'multiples':
        charts.multiples('name', 'caption', dict.fromkeys('abc', lines), 'x',
                         'y')
    else:
        charts.bars('name', 'caption', dict.fromkeys('ab', [1.] * len(names)),
                    dict.fromkeys(names, 'red'), 'x')
    figure = kept[0]
    figure.draw_without_rendering()
    legend, = figure.legends
    box = legend.get_window_extent()

    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= (
        figure.bbox.y1)
    for axis in figure.axes:
        assert axis.get_tightbbox().y1 <= box.y0
        # Room is left for the data.
        assert axis.get_window_extent().height > 0.45 * figure.dpi
    assert [text.get_text().replace('\n', '')
            for text in legend.get_texts()] == names


@pytest.mark.parametrize('name, lines', [
    ('deepkd', 1), ('ground truth', 1), ('a_name_without_a_break' * 3, 3),
    ('words that ' * 6, 3)], ids=['one', 'two words', 'long', 'words'])
def test_only_what_is_too_long_is_broken(name, lines):
    found = wrapped(name, 2.0, 10)

    assert found.count('\n') + 1 >= lines
    assert ('\n' in found) == (lines > 1)
    assert found.replace('\n', '').replace(' ', '') == name.replace(' ', '')


def test_ticks_are_whole_numbers(monkeypatch):
    kept = []
    monkeypatch.setattr(charts, 'png', lambda figure: kept.append(figure))
    charts.chart('name', 'caption', [Line('a', [2], [1], 'red')], 'epoch', 'y')

    assert all(place == int(place) for place in kept[0].axes[0].get_xticks())


@pytest.mark.parametrize('low, high', [
    (-1e-4, 1.), (-1., 1.), (-3e-3, 0.02), (0., 500.), (-80., 90.),
    (-0.02, 1e-6), (-1e-9, 1e-7)])
@pytest.mark.parametrize('panels', [1, 4], ids=['one', 'small'])
def test_labels_of_the_ticks_do_not_overlap(low, high, panels, monkeypatch):
    kept = []
    monkeypatch.setattr(charts, 'png', lambda figure: kept.append(figure))
    lines = [Line('a', [1, 2, 3, 4], [low, high, high / 900, 0.], 'red')]
    if panels == 1:
        charts.chart('name', 'caption', lines, 'x', 'y')
    else:
        charts.multiples('name', 'caption', dict.fromkeys('abcd', lines), 'x',
                         'y')
    kept[0].draw_without_rendering()
    axis = kept[0].axes[0]
    shown = sorted((label.get_window_extent() for label in
                    axis.get_yticklabels() if label.get_text()
                    and axis.bbox.contains(*axis.transData.transform(
                        (2, label.get_position()[1])))),
                   key=lambda box: box.y0)

    assert axis.get_yscale() == 'symlog' and len(shown) >= 2
    assert all(a.y1 <= b.y0 for a, b in zip(shown, shown[1:]))


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
    names = [f'run {i}' for i in range(24)]
    runs = colors.run_colors(names)
    assert len({(runs[name], colors.style_of(name, runs))
                for name in names}) == 24


def test_lines_of_one_colour_differ(monkeypatch):
    kept = []
    monkeypatch.setattr(charts, 'png', lambda figure: kept.append(figure))
    names = [f'run {i}' for i in range(11)]
    charts.chart('name', 'caption', lines_of(
        dict.fromkeys(names, curves.Curve([1], [2])),
        colors.run_colors(names)), 'x', 'y')
    drawn = kept[0].axes[0].get_lines()

    assert drawn[0].get_color() == drawn[10].get_color()
    assert drawn[0].get_linestyle() != drawn[10].get_linestyle()


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


@pytest.mark.parametrize('text, error', [
    ("custom_imports = dict(imports=['no_such_package'])", 'ImportError'),
    ('a = b', 'NameError'), ("a = dict()['b']", 'KeyError'),
    ("raise RuntimeError('no')", 'RuntimeError'), ('a = (', 'SyntaxError')],
    ids=['import', 'name', 'key', 'runtime', 'syntax'])
def test_a_config_that_cannot_be_read_costs_what_runs_models_only(
        tmp_path, text, error, capsys):
    write_session(tmp_path, scalars=[
        train_line(10), val_line(10, **{'accuracy/top1': 5.})], config=text)
    run = read_run(tmp_path, 'run')
    args = SimpleNamespace(logs_only=False, images=4)
    found = {each.name: each for each in report.make_sections([run], args)}

    assert run.cfg is None
    assert found['metrics'].figures
    said = f'run is left out: its config cannot be read ({error}: '
    for section in ('features', 'detections'):
        assert found[section].text[0].startswith(said)
    assert said in capsys.readouterr().out


def test_figures_of_an_earlier_report_do_not_stay(tmp_path, monkeypatch):
    out = tmp_path / 'out'
    picture = charts.chart('mine', '', [Line('a', [1], [1], 'red')], 'x', 'y')
    run_report(monkeypatch, write_plain_run(tmp_path / 'a'),
               write_plain_run(tmp_path / 'b'), '--out', out)
    assert (out / 'losses_2.png').exists()
    (out / 'mine.png').write_bytes(
        picture.png.replace(charts.MAKER.encode(), b'somebody'))
    run_report(monkeypatch, tmp_path / 'a', '--out', out)

    assert not (out / 'losses_2.png').exists()
    assert (out / 'losses_1.png').exists() and (out / 'mine.png').exists()


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
