"""Hooks where a loss trains adapters, and where the student has one stage."""
from unittest.mock import MagicMock, Mock

import pytest
import torch
from mmengine.runner import EpochBasedTrainLoop

from mmdeepkd.engine import ClassCountHook, DynamicTopKHook, WarmupHook
from mmdeepkd.engine.agreement import Agreement
from mmdeepkd.engine.head_classes import num_classes
from mmdeepkd.losses import DiffKDLoss, DKDLoss
from tests.helpers import distillers
from tests.helpers.batches import detection_batch
from tests.helpers.classifier_runs import train_classifier
from tests.helpers.classifiers import (
    distiller_config,
    resnet,
    write_teacher,
)
from tests.helpers.detectors import faster_rcnn
from tests.helpers.one_stage import fcos, retinanet
from tests.helpers.training import equal_tensors, run_training

from .test_class_count import coco, runner_of, write_annotations

BOTH = [dict(type='mmdeepkd.DeepKDLoss'), dict(type='mmdeepkd.DiffKDLoss')]
WRAPPER = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05,
               optimizer=dict(type='SGD', lr=0.01, momentum=0.9))


def runner_with(*losses, **kwargs):
    """What hooks ask of a run whose model counts no logits."""
    runner = MagicMock(train_loop=Mock(spec=EpochBasedTrainLoop), epoch=0,
                       iter=0, **kwargs)
    runner.model = Mock(spec=['losses', 'loss_names'], losses=list(losses),
                        loss_names=[f'loss_{loss.method}' for loss in losses])
    return runner


def test_a_schedule_of_k_is_refused_where_features_are_all():
    with pytest.raises(ValueError, match=(
            r"sets topk, which none of \['DiffKDLoss'\] has: use DeepKDLoss, "
            r'or leave the hook out, with default_hooks=dict\(topk=None\) '
            'where a config that yours is based on has it')):
        DynamicTopKHook().before_train(runner_with(DiffKDLoss()))


def test_the_warm_up_needs_no_logits():
    runner = runner_with(DiffKDLoss(), DKDLoss())
    hook = WarmupHook(epochs=4)
    hook.before_train(runner)
    hook.before_train_epoch(runner)

    assert [loss.warmup_factor for loss in runner.model.losses] == [0.25] * 2


@pytest.fixture(scope='module')
def one_stage(tmp_path_factory):
    return distillers.make_distiller(
        tmp_path_factory.mktemp('one'), retinanet(), retinanet(5, width=6),
        losses=dict(type='mmdeepkd.DiffKDLoss'))


def test_a_student_of_one_stage_has_hooks_and_no_agreement(one_stage):
    agreement = Agreement(one_stage)
    one_stage.train()
    batch = one_stage.data_preprocessor(detection_batch(), True)
    one_stage(**batch, mode='loss')
    agreement.close()

    assert not hasattr(one_stage, 'num_logits')
    assert agreement.counts(torch.device('cpu')).tolist() == [0, 0]


def test_classes_of_a_student_of_one_stage_are_checked(one_stage, tmp_path):
    """The teacher's five do not matter to features."""
    three = coco(write_annotations(tmp_path))
    runner = runner_of(three, three)
    runner.model = one_stage
    ClassCountHook().before_train(runner)
    four = ('bolt', 'nut', 'gear', 'pin')
    runner = runner_of(coco(write_annotations(tmp_path, four, four), four))
    runner.model = one_stage
    with pytest.raises(ValueError, match=(
            "the training set has 4 classes .* the model's head 3: set its")):
        ClassCountHook().before_train(runner)


@pytest.mark.parametrize('config, count', [
    (retinanet(7), 7), (fcos(6), 6), (faster_rcnn(5), 5)],
    ids=['RetinaNet', 'FCOS', 'Faster R-CNN'])
def test_the_classes_of_detectors(config, count):
    assert num_classes(distillers.build_detector(config)) == count


def test_a_detector_that_only_proposes_has_no_classes():
    """Whatever is labelled is an object to it."""
    config = faster_rcnn()
    config.update(type='mmdet.RPN', train_cfg=dict(
        rpn=config['train_cfg']['rpn']), test_cfg=dict(
            rpn=config['test_cfg']['rpn']))
    del config['roi_head']

    assert num_classes(distillers.build_detector(config)) is None


def train(folder, losses, hooks, **kwargs):
    folder.mkdir(exist_ok=True)
    teacher = write_teacher(resnet(width=6), folder / 'teacher.pth')
    return train_classifier(
        distiller_config(resnet(), resnet(width=6), teacher, losses=losses),
        WRAPPER, folder / 'run', custom_hooks=hooks, **kwargs)


def test_the_warm_up_is_of_what_reaches_the_student(tmp_path):
    """Adapters train from the start."""
    hook = dict(type='mmdeepkd.WarmupHook', iters=2)
    runner, _ = train(tmp_path, BOTH[1:], [hook], iterations=3)
    logged = {
        name: list(runner.message_hub.get_scalar(
            f'train/feature.loss_{name}').data[0])
        for name in ('diffkd', 'diffkd_diffusion', 'diffkd_autoencoder')}
    full, _ = train(tmp_path / 'full', BOTH[1:], [], iterations=1)
    first = full.message_hub.get_scalar('train/feature.loss_diffkd').current()

    assert logged['diffkd'][0] == 0 < first
    assert min(logged['diffkd'][1:]) > 0
    for name in ('diffkd_diffusion', 'diffkd_autoencoder'):
        assert min(logged[name]) > 0.01


@pytest.mark.parametrize('kind', ['classifier', 'detector'])
def test_a_look_at_the_teacher_moves_no_adapter(kind, tmp_path):
    """Nor its draws: the run is that of the same numbers given."""
    def run(folder, **topk):
        hook = dict(type='mmdeepkd.DynamicTopKHook', by_epoch=False, **topk)
        if kind == 'classifier':
            return train(folder, BOTH, [hook], iterations=4)
        return run_training(detector(folder), WRAPPER, folder / 'run',
                            iterations=3, custom_hooks=[hook])

    first, losses = run(tmp_path / 'auto', static_k='auto', phases='auto')
    chosen = first.message_hub.get_info('dynamic_topk')['choice']
    second, again = run(tmp_path / 'given', static_k=chosen[0],
                        phases=chosen[1])
    state = first.model.state_dict()

    assert losses == again
    assert equal_tensors(state, second.model.state_dict())
    assert {int(value) for name, value in state.items()
            if name.endswith('num_draws')} == {len(losses)}


def detector(folder):
    folder.mkdir()
    net = faster_rcnn()
    return distillers.distiller_config(
        net, net, distillers.write_teacher(net, folder / 'teacher.pth'),
        losses=BOTH)
