"""tools/train.py and tools/test.py, as a user runs them."""
import json
import math
import shutil
import sys
from pathlib import Path

import mmdet
import pytest
import torch
from mmdet.apis import inference_detector
from mmengine.config import Config
from mmengine.runner import load_checkpoint

import mmdeepkd
from tests.helpers.coco import write_coco
from tests.helpers.distillers import build_detector
from tests.helpers.processes import (
    ROOT,
    free_port,
    run_command,
    run_python,
    run_tool,
)
from tests.helpers.training import equal_tensors

MMDET_TRAIN = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'train.py'

# Plain mmdet, in a process that cannot import mmdeepkd.
OPEN_IN_PLAIN_MMDET = """
import json, sys
sys.modules['mmdeepkd'] = None
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
config, checkpoint, image = sys.argv[1:]
saved = torch.load(checkpoint, weights_only=True)
model = init_detector(config, checkpoint, device='cpu')
keys = model.load_state_dict(saved['state_dict'], strict=False)
result = inference_detector(model, image).pred_instances
assert not any(name.startswith('mmdeepkd.') for name in sys.modules)
print(json.dumps(dict(
    missing=keys.missing_keys, unexpected=keys.unexpected_keys,
    boxes=result.bboxes.tolist(), scores=result.scores.tolist(),
    meta=sorted(saved))))
"""


def scalars(work_dir):
    """Return the logged training iterations of a work dir's last run."""
    path = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if 'loss' in row]


@pytest.fixture(scope='module')
def config(write_config, tmp_path_factory):
    return write_config(tmp_path_factory.mktemp('configs') / 'own.py')


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    """Work dir of two epochs, two iterations each.

    By mmdet's own, unmodified tools/train.py, from another folder.
    """
    work_dir = tmp_path_factory.mktemp('trained')
    result = run_command(sys.executable, MMDET_TRAIN, config, '--work-dir',
                         work_dir, cwd=work_dir)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    assert 'PlainCheckpointHook is not in use' not in output
    return work_dir


def test_a_run_logs_every_stream_and_the_schedule_of_k(trained):
    rows = scalars(trained)

    assert len(rows) == 4
    for row in rows:
        assert {'loss', 'loss_cls', 'loss_rpn_bbox', 'target.loss_deepkd',
                'non_target.loss_deepkd', 'topk', 'grad_norm'} < set(row)
        total = sum(v for k, v in row.items() if 'loss' in k and k != 'loss')
        assert row['loss'] == pytest.approx(total, rel=1e-4)
    topk = [row['topk'] for row in rows]
    assert topk[0] == topk[1] < topk[2] == topk[3] == 10


def distiller_boxes(config, checkpoint, image):
    """Boxes of the distiller that wrote the checkpoint."""
    cfg = Config.fromfile(config)
    distiller = build_detector(cfg.model)
    load_checkpoint(distiller, checkpoint, strict=True)
    distiller.cfg = cfg
    return inference_detector(
        distiller.eval(), image).pred_instances.bboxes.tolist()


def test_the_checkpoint_opens_in_plain_mmdet(trained, config, digits,
                                             tmp_path):
    """The second epoch's, mid-distillation, with the optimizer's state."""
    checkpoint = trained / 'epoch_2.pth'
    image = digits / 'val' / '000000.png'
    student = ROOT / 'configs' / 'digits' / 'baseline_frcnn_r18w16.py'
    plain = json.loads(
        run_python(OPEN_IN_PLAIN_MMDET, student, checkpoint, image,
                   cwd=tmp_path).stdout.splitlines()[-1])

    assert plain['missing'] == plain['unexpected'] == []
    assert {'meta', 'state_dict', 'optimizer', 'message_hub'} <= set(
        plain['meta'])
    assert len(plain['boxes']) > 0
    assert plain['boxes'] == distiller_boxes(
        config, str(checkpoint), str(image))


def test_the_checkpoint_holds_a_buffer_for_each_momentum(trained):
    optimizer = torch.load(trained / 'epoch_1.pth')['optimizer']
    keys = {key for state in optimizer['state'].values() for key in state}

    assert keys == {'task_momentum_buffer', 'target_momentum_buffer'}
    state = torch.load(trained / 'epoch_1.pth')['state_dict']
    student = build_detector(
        mmdeepkd.distillers.resolve_model_config(
            mmdeepkd.config_path('digits/baseline_frcnn_r18w16.py'),
            'student'))
    assert state.keys() == student.state_dict().keys()


def test_resuming_ends_where_the_straight_run_did(trained, config, tmp_path):
    """From the latest checkpoint of a run stopped after its first epoch."""
    shutil.copy(trained / 'epoch_1.pth', tmp_path)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    result = run_tool('train.py', config, '--work-dir', tmp_path, '--resume')
    straight, again = scalars(trained), scalars(tmp_path)

    assert 'resumed epoch: 1, iter: 2' in result.stdout + result.stderr
    for key in ('step', 'topk', 'lr', 'loss', 'target.loss_deepkd'):
        assert [r[key] for r in again] == [r[key] for r in straight[2:]]
    first, second = (torch.load(folder / 'epoch_2.pth')
                     for folder in (trained, tmp_path))
    assert equal_tensors(first['state_dict'], second['state_dict'])
    for key, buffers in first['optimizer']['state'].items():
        assert equal_tensors(buffers, second['optimizer']['state'][key])


@pytest.mark.parametrize('processes', [None, 2])
def test_evaluation_needs_no_teacher(processes, trained, write_config,
                                     tmp_path):
    config = write_config(
        tmp_path / 'own.py', extra=(
            "model = dict(teacher_checkpoint='/nowhere/teacher.pth', "
            "teacher='/nowhere/teacher.py')\n"))
    arguments = [config, trained / 'epoch_2.pth']
    options = ['--work-dir', tmp_path / 'work']
    if processes is None:
        result = run_tool('test.py', *arguments, *options)
    else:
        result = run_tool('dist_test.sh', *arguments, processes, *options,
                          env=dict(PORT=free_port()))

    assert 'coco/bbox_mAP' in result.stdout + result.stderr


def test_custom_imports_and_three_lines_on_an_mmdet_config(
        digits, teacher_checkpoint, tmp_path):
    """An existing config of mmdet, with what the README adds to it."""
    own = tmp_path / 'own.py'
    base = ROOT / 'configs' / 'digits' / 'baseline_frcnn_r18w16.py'
    own.write_text(f"""
_base_ = ['{base}']
custom_imports = dict(imports=['mmdeepkd'])
runner_type = 'mmdeepkd.DistillRunner'
model = dict(
    _delete_=True, type='mmdeepkd.DetectorDistiller',
    student={{{{_base_.model}}}},
    teacher='{base.with_name("teacher_frcnn_r18w32.py")}',
    teacher_checkpoint='{teacher_checkpoint}',
    losses=dict(type='mmdeepkd.DeepKDLoss', base='dkd'))
optim_wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05)
""")
    result = run_command(
        sys.executable, MMDET_TRAIN, own, '--work-dir', tmp_path / 'work',
        '--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=9',
        f'train_dataloader.dataset.data_root={digits}',
        f'val_dataloader.dataset.data_root={digits}',
        f'val_evaluator.ann_file={digits}/annotations/val.json')

    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / 'work' / 'epoch_1.pth').is_file()


def test_the_coco_config_trains_two_iterations(tmp_path):
    """Of images that have boxes and one that has none."""
    write_coco(tmp_path / 'coco')
    teacher = mmdeepkd.distillers.resolve_model_config(
        'mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py', 'teacher')
    torch.save(build_detector(teacher).state_dict(), tmp_path / 'teacher.pth')
    data = 'train_dataloader.dataset'
    run_tool(
        'train.py', 'configs/coco/deepkd_frcnn_r101_r18.py', '--work-dir',
        tmp_path / 'work', '--auto-scale-lr', '--cfg-options',
        f'model.teacher_checkpoint={tmp_path}/teacher.pth',
        'model.student.backbone.init_cfg=None', 'train_cfg.max_epochs=1',
        'default_hooks.logger.interval=1', 'default_hooks.checkpoint=None',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        f'{data}.data_root={tmp_path}/coco/', f'{data}.filter_cfg=None',
        f'{data}.pipeline.2.scale=(128,128)', 'val_dataloader=None',
        'val_evaluator=None', 'val_cfg=None')
    (tmp_path / 'teacher.pth').unlink()  # 240 MB
    rows = scalars(tmp_path / 'work')

    assert len(rows) == 2
    for row in rows:
        assert math.isfinite(row['loss'])
        assert row['target.loss_deepkd'] > 0
        # One epoch is the end of the schedule: every class.
        assert row['topk'] == 80
    # Two images instead of sixteen, after the first step of the warm-up.
    assert rows[0]['lr'] == pytest.approx(0.02 * 2 / 16 * 0.001)
