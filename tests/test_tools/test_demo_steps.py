import json
import re

import numpy as np
import pytest
from PIL import Image

from tools.demo_steps import metrics, pictures, training

TRAIN_LINE = (
    '11/21 04:08:00 - mmengine - INFO - Epoch(train) [3][ 10/75]  '
    'lr: 1.8118e-02  eta: 0:00:42  time: 0.2903  data_time: 0.0064  '
    'grad_norm: 1.8058  loss: 1.1160  loss_rpn_cls: 0.0178\n')
VAL_LINE = ('11/21 04:07:57 - mmengine - INFO - Epoch(val) [2][15/15]    '
            'coco/bbox_mAP: 0.2070  coco/bbox_mAP_50: 0.3640  time: 0.1456\n')
HISTORY = metrics.History([(25, {
    'loss': 3.5,
    'time': 0.5,
    'loss_cls': 2.0,
    's1.loss_bbox': 1.0,
    'target.loss_deepkd': 0.3,
    'non_target.loss_deepkd': 0.125,
    'non_target.loss_deepkd_s1': 0.125,
    'acc': 90.0
}), (50, {
    'time': 0.25,
    'loss_cls': 1.0
}), (75, {
    'time': 0.25,
    'loss_cls': 1.0
})], [(1, 0.1, 0.2), (2, 0.451, 0.7)])
ROWS = [
    metrics.Row('teacher', 0.7054, 0.91, 4123456, 390.4),
    metrics.Row('plain student', 0.45, 0.6625, 1012345, 305.6)
]


def test_essential_lines_of_the_log():
    assert training.essential(TRAIN_LINE) == (
        'epoch 3, iteration 10/75, loss 1.116, 0:00:42 left')
    assert training.essential(VAL_LINE) == 'epoch 2, box mAP 20.7'
    assert training.essential('Loading and preparing results...\n') is None
    assert training.essential(
        'INFO - Epoch(val) [1][10/15]    eta: 0:00:00  time: 0.15\n') is None


def fake_job(tmp_path, code):
    script = tmp_path / 'fake_train.py'
    script.write_text(code)
    job = training.Job('plain', 'plain student', 'a_config.py', 'a_config.py')
    return job, str(script)


def test_train_shows_progress_and_keeps_the_whole_log(tmp_path):
    job, script = fake_job(
        tmp_path, 'import sys\n'
        f'print({TRAIN_LINE!r}, end="")\n'
        'print(sys.argv[1:])\n')
    shown = []
    training.train(job, tmp_path / 'run', ['a=1'], script, shown.append)
    assert shown == [
        '  plain: epoch 3, iteration 10/75, loss 1.116, 0:00:42 left'
    ]
    arguments = [
        'a_config.py', '--work-dir',
        str(tmp_path / 'run'), '--cfg-options', 'a=1'
    ]
    assert (tmp_path / 'run' / 'output.txt').read_text() == (
        f'{TRAIN_LINE}{arguments}\n')


def test_failing_training_is_one_sentence_with_the_log(tmp_path):
    job, script = fake_job(tmp_path, 'raise ValueError("no such teacher")')
    with pytest.raises(training.TrainingError) as caught:
        training.train(job, tmp_path / 'run', script=script)
    assert str(caught.value) == (
        'training the plain student failed (ValueError: no such teacher); '
        f'its log is {tmp_path / "run" / "output.txt"}')
    assert 'Traceback' in (tmp_path / 'run' / 'output.txt').read_text()


def test_interrupted_training_stops_its_process(tmp_path):
    alive = tmp_path / 'still_alive'
    job, script = fake_job(
        tmp_path, 'import pathlib, time\n'
        f'print({TRAIN_LINE!r}, flush=True)\n'
        'time.sleep(60)\n'
        f'pathlib.Path({str(alive)!r}).touch()\n')

    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(
            training.TrainingError, match='plain student was interrupted'):
        training.train(job, tmp_path / 'run', script=script, show=interrupt)
    assert not alive.exists()


def test_history_of_the_newest_run(tmp_path):
    for stamp, box_map in (('20250101_000000', 0.1), ('20260101_000000', 0.4)):
        folder = tmp_path / stamp / 'vis_data'
        folder.mkdir(parents=True)
        lines = [{'loss': 2.0, 'time': 0.3, 'iter': 25, 'step': 25},
                 {'stream_loss/task': 2.0, 'gsnr/task': 0.1, 'step': 25},
                 {'coco/bbox_mAP': box_map, 'coco/bbox_mAP_50': 0.6,
                  'time': 0.1, 'step': 1}]
        (folder / 'scalars.json').write_text(
            ''.join(json.dumps(line) + '\n' for line in lines))
    history = metrics.read_history(tmp_path)
    assert history.train == [(25, {
        'loss': 2.0,
        'time': 0.3,
        'iter': 25,
        'step': 25
    })]
    assert history.val == [(1, 0.4, 0.6)]


def test_history_of_no_run_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match='LocalVisBackend'):
        metrics.read_history(tmp_path)


def test_history_reports_the_last_validation_and_the_median_time():
    assert (HISTORY.box_map, HISTORY.ap50) == (0.451, 0.7)
    assert HISTORY.iteration_ms == 250


def test_losses_are_summed_by_stream():
    assert metrics.stream_losses(HISTORY.train[0][1]) == dict(
        task=3.0, target=0.3, non_target=0.25)


def test_table_for_the_terminal():
    assert metrics.table(ROWS).splitlines() == [
        '                box mAP   AP50   parameters   ms per iteration',
        'teacher            70.5   91.0    4,123,456                390',
        'plain student      45.0   66.2    1,012,345                306',
        '',
        'One seed: differences under about 2 points are noise.',
    ]


def test_table_as_markdown():
    assert metrics.table(ROWS, markdown=True).splitlines()[:3] == [
        '|               | box mAP | AP50 | parameters | ms per iteration |',
        '| ------------- | ------: | ---: | ---------: | ---------------: |',
        '| teacher       |    70.5 | 91.0 |  4,123,456 |              390 |',
    ]


@pytest.mark.parametrize('teacher,plain,expected', [
    (0.7, 0.35, None),
    (0.7, 0.349, 'the plain student reached 34.9 box mAP and must reach 35'),
    (0.45, 0.45, r'teacher \(45.0 box mAP\) is no better than the plain'),
])
def test_complaint(teacher, plain, expected):
    said = metrics.complaint(teacher, plain)
    if expected is None:
        assert said is None
    else:
        assert re.search(expected, said)


def test_grid_shows_every_image_in_every_column(tmp_path):
    image = np.full((128, 128, 3), 40, np.uint8)
    found = pictures.Detection((10., 10., 60., 60.), '3 0.98', 3)
    columns = {'ground truth': [[found], []], 'teacher': [[], []]}
    pictures.draw_grid(columns, [image, image], tmp_path / 'grid.png')
    pixels = np.asarray(Image.open(tmp_path / 'grid.png').convert('RGB'))
    height, width = pixels.shape[:2]
    red = (pixels[..., 0] > 180) & (pixels[..., 1] < 80)
    # Class 3 is drawn in the palette's red, in the top left quarter only.
    assert red[:height // 2, :width // 2].sum() > 100
    assert red.sum() == red[:height // 2, :width // 2].sum()


def test_curves_have_a_line_per_stream_and_per_run(tmp_path, monkeypatch):
    import matplotlib.pyplot as plt
    figures = []
    monkeypatch.setattr(plt, 'close', figures.append)
    pictures.draw_curves({'plain student': HISTORY, 'DeepKD student': HISTORY},
                         'DeepKD student', tmp_path / 'curves.png')
    losses, maps = figures[0].axes
    assert [line.get_label() for line in losses.lines
            ] == ['task', 'target', 'non_target']
    assert losses.lines[0].get_xydata().tolist() == [[25, 3], [50, 1], [75, 1]]
    assert [line.get_label() for line in maps.lines
            ] == ['plain student', 'DeepKD student']
    assert maps.lines[0].get_xydata().tolist() == [[1, 10], [2, 45.1]]
    assert (tmp_path / 'curves.png').stat().st_size > 5000
