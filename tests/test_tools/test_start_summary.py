"""The block that tools/train.py prints first, and where students start."""
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

import mmdeepkd
from mmdeepkd.distillers import resolve_model_config
from tests.helpers.distillers import build_detector
from tests.helpers.processes import run_tool
from tests.helpers.training import Scenes


def student_checkpoint(path):
    """Save the digits student, as a plain mmdet training would."""
    torch.manual_seed(3)
    model = build_detector(resolve_model_config(
        mmdeepkd.config_path('digits/baseline_frcnn_r18w16.py'), 'student'))
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return model


def test_the_block_of_the_digits_config(write_config, teacher_checkpoint,
                                        tmp_path):
    result = run_tool(
        'train.py', write_config(tmp_path / 'own.py'), '--work-dir',
        tmp_path / 'work', '--cfg-options', 'train_cfg.max_epochs=1',
        'default_hooks.checkpoint=None')
    output = result.stdout + result.stderr
    block = output[output.index('This run, as its'):]
    block = re.split(r'\n\d\d/\d\d ', block)[0]

    assert block.splitlines()[3:] == f"""\
package          {mmdeepkd.__path__[0]}
student          FasterRCNN with ResNet: 1,327,954 parameters, all trained
teacher          FasterRCNN with ResNet: 3,440,098 parameters, frozen
distiller        DetectorDistiller
weights
  teacher        {teacher_checkpoint}: all 130 tensors (backbone 100, neck 16, rpn_head 6, roi_head 8)
  student        its random initialisation, no file
losses           DeepKDLoss(base='dkd', alpha=1.0, beta=1.0, temperature=1.0, topk=None, standardize=False, semantics='paper')
streams          stream      momentum  backward  losses
                 task        0.925     1         the student's own x 1
                 target      0.875     2         target.loss_deepkd
                 non_target  0.925     1         non_target.loss_deepkd
                 2 backwards per iteration
DynamicTopKHook  K from 6 to 8 at 30 % of the epochs, 8 until 70 %, then up to all 10 non-target classes
GSNRHook         GSNR over 8 updates every 50 iterations, in 9 parts
optimizer        DecoupledSGD in DeepKDOptimWrapper: weight decay 0.0001, semantics paper, merge True, clip_grad max_norm=10, nonfinite raise
precision        float32
length           1 epochs x 2 iterations
batch            1 process x 2 images = 2 per update; the recipe's is 8; auto_scale_lr is off
learning rate    0.02""".splitlines()  # noqa: E501
    assert block.splitlines()[2].startswith('versions         mmdeepkd 0.1.0')
    assert ('WARNING - the learning rate 0.02 is for a batch of 8 '
            '(auto_scale_lr.base_batch_size), and this run has 2: train with '
            '--auto-scale-lr, which makes it 0.005, or change the batch.'
            ) in output


@pytest.mark.parametrize('prefix', ['', 'student.'])
def test_a_checkpoint_of_plain_mmdet_is_where_the_student_starts(
        prefix, write_config, tmp_path):
    """Before the first iteration it predicts what plain mmdet predicts."""
    plain = student_checkpoint(tmp_path / 'student.pth')
    torch.save(
        {prefix + k: v for k, v in plain.state_dict().items()},
        tmp_path / 'student.pth')
    cfg = Config.fromfile(write_config(tmp_path / 'own.py'))
    cfg.merge_from_dict(dict(
        work_dir=str(tmp_path / 'work'), log_level='ERROR',
        load_from=str(tmp_path / 'student.pth')))
    runner = RUNNERS.build(cfg)
    if prefix:
        with pytest.raises(RuntimeError, match="remove 'student.' from its"):
            runner.load_or_resume()
        return
    runner.load_or_resume()
    data = dict(inputs=Scenes(images=1, size=128).batch['inputs'],
                data_samples=Scenes(images=1, size=128).batch['data_samples'])
    ours = runner.model.eval().test_step(data)[0].pred_instances
    theirs = plain.eval().test_step(data)[0].pred_instances

    assert len(ours.bboxes) > 0
    assert torch.equal(ours.bboxes, theirs.bboxes)
    assert torch.equal(ours.scores, theirs.scores)
