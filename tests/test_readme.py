"""What the README tells people to write works as written."""
import re

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, MODELS, RUNNERS, DefaultScope

from mmdeepkd.engine import (
    DeepKDOptimWrapper,
    DistillRunner,
    DynamicTopKHook,
    GSNRHook,
    GSNRMomentumHook,
)
from tests.helpers import classifiers, distillers
from tests.helpers.batches import detection_batch
from tests.helpers.detectors import faster_rcnn
from tests.helpers.processes import ROOT

README = (ROOT / 'README.md').read_text()


def snippet(base):
    """Return the README's config over ``base``."""
    return re.search(rf'```python\n(_base_ = .{base}.*?)```', README,
                     re.DOTALL).group(1)


def train_as_written(tmp_path, base, package, helper, network, batch,
                     on_top=''):
    """Write the README's config next to a plain one, and train a step.

    With ``on_top`` the README's config that has that one as its base.
    """
    # The plain config that it is written next to.
    (tmp_path / f'{base}.py').write_text(
        f'model = {network()!r}\n'
        "default_hooks = dict(timer=dict(type='IterTimerHook'))\n"
        "optim_wrapper = dict(type='OptimWrapper', "
        "optimizer=dict(type='SGD', lr=0.01, momentum=0.9))\n")
    (tmp_path / 'my_deepkd.py').write_text(snippet(base))
    (tmp_path / 'my_diffkd.py').write_text(on_top)
    cfg = Config.fromfile(
        tmp_path / ('my_diffkd.py' if on_top else 'my_deepkd.py'))
    assert cfg.model.teacher.startswith(f'{package}::')
    assert cfg.model.teacher_checkpoint.endswith('.pth')
    # No download, and a teacher of the student's classes.
    cfg.model.teacher = network(width=8)
    cfg.model.teacher_checkpoint = helper.write_teacher(
        cfg.model.teacher, tmp_path / 'teacher.pth')

    assert RUNNERS.get(cfg.runner_type) is DistillRunner
    assert sorted(cfg.default_hooks) == ['timer', 'topk']
    assert isinstance(HOOKS.build(cfg.default_hooks.topk), DynamicTopKHook)
    with DefaultScope.overwrite_default_scope(package):
        distiller = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(distiller, cfg.optim_wrapper)
    assert isinstance(wrapper, DeepKDOptimWrapper)
    log = distiller.train_step(batch, wrapper)
    assert torch.isfinite(log['loss'])
    assert 'non_target.loss_deepkd' in log
    return wrapper, log


def test_the_detector_of_the_readme_trains(tmp_path):
    train_as_written(tmp_path, 'my_faster_rcnn', 'mmdet', distillers,
                     faster_rcnn, detection_batch())


def test_the_features_of_the_readme_train(tmp_path):
    wrapper, log = train_as_written(
        tmp_path, 'my_faster_rcnn', 'mmdet', distillers, faster_rcnn,
        detection_batch(), snippet('my_deepkd'))

    assert 'feature.loss_diffkd_level0' in log
    # Two streams share theirs, the features have one of their own.
    leaders = wrapper.optimizer.leaders()
    assert leaders['feature'] == 'feature'
    assert leaders['non_target'] == 'task'


def test_the_classifier_of_the_readme_trains(tmp_path):
    train_as_written(tmp_path, 'my_resnet18', 'mmpretrain', classifiers,
                     classifiers.resnet, classifiers.image_batch())


def test_the_dot_wrapper_of_the_readme_is_built():
    text = re.search(r'DOT is `optim_wrapper=(.*?)`', README).group(1)
    config = eval(text)  # noqa: S307  (our own README)
    config['optimizer'] = dict(type='SGD', lr=0.01, momentum=0.9)
    wrapper = build_optim_wrapper(torch.nn.Linear(2, 2), config)

    assert wrapper.optimizer.leaders() == dict(
        task='task', distill='distill', plain='plain')


def test_the_hooks_of_the_readme_are_built():
    text = re.search(r'```python\n(default_hooks = .*?)```', README,
                     re.DOTALL).group(1)
    given = {}
    exec(text, given)  # noqa: S102  (our own README)

    assert type(HOOKS.build(given['default_hooks']['gsnr'])) is GSNRHook
    for kind in (GSNRMomentumHook, DynamicTopKHook):
        call = re.search(rf'`({kind.__name__}\(.*?\))`', README).group(1)
        assert isinstance(
            eval(call, {kind.__name__: kind}), kind)  # noqa: S307
