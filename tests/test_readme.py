"""What the README tells people to write works as written."""
import re

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, RUNNERS

from mmdeepkd.engine import DeepKDOptimWrapper, DistillRunner, DynamicTopKHook
from tests.helpers.batches import detection_batch
from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import build_detector, write_teacher
from tests.helpers.processes import ROOT

README = (ROOT / 'README.md').read_text()
SNIPPET = re.search(r'```python\n(_base_ = .my_faster.*?)```', README,
                    re.DOTALL).group(1)


def test_the_config_of_the_readme_trains(tmp_path):
    # The plain config that it is written next to.
    (tmp_path / 'my_faster_rcnn.py').write_text(
        f'model = {faster_rcnn()!r}\n'
        "default_hooks = dict(timer=dict(type='IterTimerHook'))\n"
        "optim_wrapper = dict(type='OptimWrapper', "
        "optimizer=dict(type='SGD', lr=0.01, momentum=0.9))\n")
    (tmp_path / 'my_deepkd.py').write_text(SNIPPET)
    cfg = Config.fromfile(tmp_path / 'my_deepkd.py')
    assert cfg.model.teacher.startswith('mmdet::')
    assert cfg.model.teacher_checkpoint.endswith('.pth')
    # No download, and a teacher of the student's classes.
    cfg.model.teacher = faster_rcnn(width=8)
    cfg.model.teacher_checkpoint = write_teacher(
        cfg.model.teacher, tmp_path / 'teacher.pth')

    assert RUNNERS.get(cfg.runner_type) is DistillRunner
    assert sorted(cfg.default_hooks) == ['timer', 'topk']
    assert isinstance(HOOKS.build(cfg.default_hooks.topk), DynamicTopKHook)
    distiller = build_detector(cfg.model)
    wrapper = build_optim_wrapper(distiller, cfg.optim_wrapper)
    assert isinstance(wrapper, DeepKDOptimWrapper)
    log = distiller.train_step(detection_batch(), wrapper)
    assert torch.isfinite(log['loss'])
    assert 'non_target.loss_deepkd' in log


def test_the_dot_wrapper_of_the_readme_is_built():
    text = re.search(r'DOT is `optim_wrapper=(.*?)`', README).group(1)
    config = eval(text)  # noqa: S307  (our own README)
    config['optimizer'] = dict(type='SGD', lr=0.01, momentum=0.9)
    wrapper = build_optim_wrapper(torch.nn.Linear(2, 2), config)

    assert wrapper.optimizer.leaders() == dict(
        task='task', distill='distill', plain='plain')
