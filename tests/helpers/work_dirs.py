"""Work directories as trainings leave them, without a training."""
import json
import math

STREAMS = ('task', 'target', 'non_target')
STAMP = '20260101_100000'
LOG = """2026/01/01 10:00:00 - mmengine - INFO - This run
versions         mmdeepkd 0.1.0, torch 2.1.2
2026/01/01 10:01:05 - mmengine - INFO - Epoch(train) [1][10/20]  lr: 0.1
"""


def write_session(work_dir, stamp=STAMP, scalars=(), streams=None, log=LOG,
                  config=None):
    """Write the folder of one start of a training."""
    folder = work_dir / stamp
    _write_lines(folder / 'vis_data' / 'scalars.json', scalars)
    (folder / f'{stamp}.log').write_text(log)
    if streams is not None:
        _write_lines(folder / 'streams.jsonl', streams)
    if config is not None:
        (folder / 'vis_data' / 'config.py').write_text(config)
    return folder


def _write_lines(file, records):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(''.join(f'{json.dumps(each)}\n' for each in records))


def train_line(iteration, epoch=None, **values):
    counted = {} if epoch is None else dict(epoch=epoch)
    return dict(dict(lr=0.1, data_time=0.01, time=0.25, loss=3.0, **counted),
                iter=iteration, step=iteration, **values)


def val_line(step, **values):
    return dict(values, data_time=0.01, time=0.1, step=step)


def write_plain_run(work_dir, metric='accuracy/top1', values=(50., 62.5)):
    """Write a run of plain mmpretrain, or mmdet: one stream, two epochs."""
    lines = []
    for epoch, value in enumerate(values, 1):
        lines += [train_line(20 * epoch - 10 * part, epoch, loss_cls=2.0)
                  for part in (1, 0)]
        lines.append(val_line(epoch, **{metric: value}))
    write_session(work_dir, scalars=lines)
    return work_dir


def write_distilled_run(work_dir, parts=('backbone.layer1', 'head')):
    """Write a run with all that a report can show, and a NaN."""
    lines = []
    for number in range(1, 5):
        lines.append(train_line(
            10 * number, (number + 1) // 2, topk=3 * number, memory=1000.,
            **{'s0.loss_cls': 2.0 / number, 'target.loss_deepkd': 0.5,
               'non_target.loss_deepkd': 0.25}))
        if number % 2 == 0:
            lines.append(val_line(number // 2,
                                  **{'accuracy/top1': 60. + number}))
    write_session(work_dir, scalars=lines, streams=[
        _report(8 + 10 * i, i, parts) for i in range(4)])
    return work_dir


def write_feature_run(work_dir):
    """Write a run of DiffKD on two levels, of which one adapts nothing."""
    write_session(work_dir, scalars=[
        train_line(10 * number, 1, **{
            'loss_cls': 2.0, 'feature.loss_diffkd_level0': 1.0 / number,
            'feature.loss_diffkd_level1': 0.5,
            'feature.loss_diffkd_diffusion': 1.0,
            'feature.loss_diffkd_autoencoder': 0.25,
            'diffkd_gamma_level0': 1 - 0.25 * number,
            'diffkd_gamma_level1': 1.0}) for number in (1, 2)])
    return work_dir


def _report(iteration, number, parts):
    values = {}
    for i, stream in enumerate(STREAMS):
        ratio = [0.02 / (number + 1), 0.003 - 0.002 * number, math.nan][i]
        values[f'gsnr/{stream}'] = ratio
        values.update({f'gsnr/{stream}/{part}': ratio * (j + 1)
                       for j, part in enumerate(parts)})
        values[f'gsnr_smooth/{stream}'] = 0.01 + i / 100
        values[f'grad_norm/{stream}'] = 10.0 ** -i
        values[f'stream_loss/{stream}'] = 1.0 + i
        values[f'momentum/{stream}'] = 0.9 + 0.05 * (-1)**i
    values.update({'grad_ratio/target': 0.1, 'grad_ratio/non_target': 0.01,
                   'grad_cosine/task-target': -0.2,
                   'grad_cosine/task-non_target': 0.5,
                   'grad_cosine/target-non_target': 0.0})
    # The third stream was never measured.
    values['gsnr/non_target'] = math.nan
    return dict(iter=iteration, epoch=number // 2, topk=3, agreement=0.5,
                **values)
