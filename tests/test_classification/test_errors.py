"""Every mistake gets one message that names the fix."""
import copy
import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MMLogger
from mmpretrain.models.classifiers import BaseClassifier, HuggingFaceClassifier
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from mmpretrain.structures import DataSample

from tests.helpers.classifier_runs import classifier_losses
from tests.helpers.classifiers import (
    MIXING,
    build_classifier,
    distiller_config,
    image_batch,
    labelled,
    make_distiller,
    resnet,
    timm_net,
    write_teacher,
)

SIGMOID = [
    dict(type='mmpretrain.CrossEntropyLoss', use_sigmoid=True),
    dict(type='mmpretrain.LabelSmoothLoss', mode='multi_label',
         label_smooth_val=0.1, num_classes=5),
    dict(type='mmpretrain.FocalLoss'),
]
KD = dict(type='mmdeepkd.KDLoss')
DEEPKD = dict(type='mmdeepkd.DeepKDLoss')
MLKD = dict(type='mmdeepkd.MLKDLoss')


@pytest.fixture
def checkpoint(tmp_path):
    return write_teacher(resnet(), tmp_path / 'teacher.pth')


@pytest.fixture
def register():
    """Register a module of mmpretrain's for one test."""
    names = []

    def add(module):
        MMPRETRAIN_MODELS.register_module(module=module)
        names.append(module.__name__)
        return module

    yield add
    for name in names:
        MMPRETRAIN_MODELS._module_dict.pop(name)


def build(checkpoint, student=None, teacher=None, **kwargs):
    return build_classifier(
        distiller_config(student or resnet(), teacher or resnet(), checkpoint,
                         **kwargs))


def both(role, model, tmp_path):
    """Put a model in a role beside an ordinary one."""
    models = dict(student=resnet(), teacher=resnet())
    models[role] = model
    return dict(models, checkpoint=write_teacher(
        models['teacher'], tmp_path / 'teacher.pth'))


ROLES = pytest.mark.parametrize('role', ['student', 'teacher'])


def test_other_classes(tmp_path):
    with pytest.raises(ValueError, match=(
            'the student has 5 classes, the teacher 7: set num_classes of '
            'both configs to the number of classes in the datasets')):
        make_distiller(tmp_path, resnet(), timm_net(7))


@pytest.mark.parametrize('topk', [5, 100])
def test_topk_above_the_classes(topk, checkpoint):
    with pytest.raises(ValueError, match=(
            f'DeepKDLoss has topk={topk}, the classifiers 4 non-target '
            'classes: choose topk from 1 to 4')):
        build(checkpoint, losses=dict(DEEPKD, topk=topk))
    assert build(checkpoint, losses=dict(DEEPKD, topk=4)).num_logits == 5


@ROLES
@pytest.mark.parametrize('loss', SIGMOID, ids=lambda loss: loss['type'])
@pytest.mark.parametrize('kind', ['resnet', 'timm'])
def test_sigmoid_logits(kind, loss, role, tmp_path):
    model = resnet(head=dict(loss=loss)) if kind == 'resnet' else timm_net(
        loss=loss)
    with pytest.raises(ValueError, match=(
            f'the head of the {role} trains sigmoid logits .*use a softmax '
            'cross entropy as its loss, or losses on maps alone, such as '
            'mmdeepkd.DiffKDLoss.$')):
        build(**both(role, model, tmp_path))


@ROLES
def test_a_multi_label_head(role, tmp_path):
    model = resnet()
    model['head'] = dict(
        type='mmpretrain.MultiLabelLinearClsHead', num_classes=5,
        in_channels=32)
    with pytest.raises(TypeError, match=(
            "single-label classifiers, whose head is one of mmpretrain's "
            f'ClsHead family; the {role} ImageClassifier has '
            'MultiLabelLinearClsHead: use such a head, TimmClassifier for a '
            'timm model, or losses on maps alone, such as '
            'mmdeepkd.DiffKDLoss.$')):
        build(**both(role, model, tmp_path))


@ROLES
def test_no_head(role, tmp_path):
    model = resnet()
    model['head'] = None
    with pytest.raises(TypeError, match=f'the {role} ImageClassifier has no'):
        build(**both(role, model, tmp_path))


@ROLES
def test_an_unknown_number_of_classes(role, tmp_path):
    model = resnet()
    model['head'] = dict(type='mmpretrain.ClsHead')
    with pytest.raises(TypeError, match=(
            f'the ClsHead of the {role} does not say how many classes it '
            'has: use a head with an attribute num_classes')):
        build(**both(role, model, tmp_path))


class OddHead(ClsHead):
    """Gives its features, or two of them, or computes its loss otherwise."""

    def __init__(self, how, num_classes=5, **kwargs):
        super().__init__(**kwargs)
        self.how = how
        self.num_classes = num_classes

    def forward(self, feats):
        return (feats[-1], feats[-1]) if self.how == 'pair' else feats[-1]

    def loss(self, feats, data_samples):
        calls = dict(never=0, twice=2).get(self.how, 1)
        for _ in range(calls):
            self(feats)
        return dict(loss=feats[-1].sum())


@pytest.mark.parametrize('how, message', [
    ('wide', r'gave the shape \(4, 32\), not one tensor of shape \(N, 5\)'),
    ('pair', r'gave a tuple, not one tensor of shape \(N, 5\)'),
    ('never', 'ran 0 times in its loss, so that its logits are unknown'),
    ('twice', 'ran 2 times in its loss, so that its logits are unknown'),
])
def test_a_head_without_one_row_of_logits(how, message, checkpoint, register):
    register(OddHead)
    student = resnet()
    student['head'] = dict(type='mmpretrain.OddHead', how=how)
    with pytest.raises(TypeError, match=f'the head of the student {message}'):
        classifier_losses(build(checkpoint, student))


def test_a_teacher_without_one_row_of_logits(tmp_path, register):
    register(OddHead)
    teacher = resnet()
    teacher['head'] = dict(type='mmpretrain.OddHead', how='pair')
    distiller = make_distiller(tmp_path, resnet(), teacher)
    with pytest.raises(TypeError, match=(
            'the head of the teacher gave a tuple, not one tensor of shape')):
        classifier_losses(distiller)


@ROLES
def test_a_preprocessor_of_another_kind(role, tmp_path):
    model = timm_net()
    model['data_preprocessor'] = dict(type='mmengine.ImgDataPreprocessor')
    with pytest.raises(TypeError, match=(
            f'the {role} has a ImgDataPreprocessor; the pixels of the teacher '
            'are computed from .* of a ClsDataPreprocessor: give its config '
            'data_preprocessor')):
        build(**both(role, model, tmp_path))


def test_padded_images_without_their_shape(checkpoint):
    student = resnet(pixels=dict(pad_size_divisor=32, mean=[1.], std=[1.]))
    batch = image_batch(size=40)
    for sample in batch['data_samples']:
        del sample.img_shape
    with pytest.raises(ValueError, match=re.escape(
            'the preprocessor pads the images to (64, 64), multiples of 32, '
            'but the img_shape of the samples does not say from where (of '
            'two views it cannot): put img_shape into meta_keys of')):
        classifier_losses(build(checkpoint, student, losses=KD), batch)


@pytest.mark.parametrize('loss', [DEEPKD, dict(type='mmdeepkd.DKDLoss')])
@pytest.mark.parametrize('student', [resnet, timm_net])
def test_mixing_with_a_loss_that_needs_the_target(student, loss, checkpoint):
    with pytest.raises(ValueError, match=(
            'needs one target class per image, which Mixup and CutMix leave '
            r'it without: remove train_cfg\.augments')):
        build(checkpoint, student(train_cfg=copy.deepcopy(MIXING)),
              losses=[KD, loss])


def with_scores(batch, scores):
    for sample in batch['data_samples']:
        sample.set_gt_score(scores)
    return batch


def test_soft_labels_of_the_dataset(checkpoint):
    # Only a loss that takes them has soft labels, such as KD.
    student = resnet(head=dict(loss=dict(
        type='mmpretrain.CrossEntropyLoss', use_soft=True)))
    soft = with_scores(image_batch(), torch.tensor([.5, .5, 0., 0., 0.]))

    losses = classifier_losses(build(checkpoint, student, losses=KD), soft)
    assert losses['distill.loss_kd'] > 0
    with pytest.raises(ValueError, match='splits the classes by the target'):
        classifier_losses(build(checkpoint, student, losses=DEEPKD), soft)


def test_one_hot_labels_are_labels(checkpoint):
    """The option to_onehot alone mixes nothing."""
    student = resnet(pixels=dict(to_onehot=True), head=dict(loss=dict(
        type='mmpretrain.CrossEntropyLoss', use_soft=True)))
    hot, plain = (
        classifier_losses(build(checkpoint, model, losses=DEEPKD))
        for model in (student, resnet()))

    assert hot.keys() == plain.keys()
    assert hot['target.loss_deepkd'] > 0


def test_several_labels_of_an_image(checkpoint):
    batch = image_batch()
    batch['data_samples'][2] = labelled([1, 3], (32, 32))
    with pytest.raises(ValueError, match=(
            'a sample has several labels; losses on logits are defined for '
            'one class per image: use a single-label dataset, or losses on '
            'maps alone')):
        classifier_losses(build(checkpoint), batch)


def test_no_labels(checkpoint):
    batch = image_batch()
    batch['data_samples'] = [DataSample() for _ in range(4)]
    with pytest.raises(ValueError, match=(
            r'the samples of the batch have no labels \(gt_label or '
            r'gt_score\)')):
        classifier_losses(build(checkpoint), batch)


@pytest.mark.parametrize('loss', [
    dict(type='mmdeepkd.ForegroundLoss', loss=KD),
    dict(type='mmdeepkd.GDKDSLoss'),
    dict(type='mmdeepkd.GDKDSLoss', background='teacher')])
def test_losses_of_detectors(loss, checkpoint):
    with pytest.raises(ValueError, match=(
            'takes the last class for background, which classifiers do not '
            'have: use a loss over all classes, such as KDLoss or GDKDLoss')):
        build(checkpoint, losses=[KD, loss])


def test_a_student_whose_logits_have_a_margin(tmp_path):
    margin = resnet(head=dict(type='mmpretrain.ArcFaceClsHead'))
    with pytest.raises(TypeError, match=(
            'the student has a ArcFaceClsHead, whose loss lowers the logit '
            'of the target class by a margin, .* use a head without margin')):
        build(**both('student', margin, tmp_path))
    # Without labels, as a teacher runs, there is none.
    distiller = build(**both('teacher', margin, tmp_path))
    assert classifier_losses(distiller)['target.loss_deepkd'] > 0


def test_inherited_parts_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match=re.escape(
            "student_init inherits 'rpn_head', which the student does not "
            'have: name parts of both; the student has backbone, head.')):
        make_distiller(tmp_path, resnet(), resnet(),
                       student_init=dict(inherit=['rpn_head']))


def test_losses_of_one_and_of_two_views(checkpoint):
    with pytest.raises(ValueError, match=(
            'some of the losses need two views of each image, others one')):
        build(checkpoint, losses=[KD, MLKD])


def test_two_views_without_their_preprocessor(checkpoint):
    with pytest.raises(ValueError, match=(
            'the losses need two views of each image, which the '
            "student's ClsDataPreprocessor does not take: set "
            r"data_preprocessor\.type='mmdeepkd\.TwoViewDataPreprocessor'; if "
            'the student is a config file it brings its own: set it in')):
        build(checkpoint, losses=MLKD)


def two_views(**kwargs):
    return resnet(pixels=dict(
        type='mmdeepkd.TwoViewDataPreprocessor', **kwargs))


def test_two_views_that_are_padded(checkpoint):
    batch = image_batch(size=40)
    batch['inputs'] = [batch['inputs']] * 2
    student = two_views(pad_size_divisor=32, mean=[1.], std=[1.])
    with pytest.raises(ValueError, match=(
            r'the preprocessor pads the images to \(64, 64\).*of two views it '
            'cannot')):
        classifier_losses(build(checkpoint, student, losses=MLKD), batch)


def test_two_views_of_mixed_images(checkpoint):
    with pytest.raises(ValueError, match='Mixup and CutMix of two views'):
        build(checkpoint, two_views(batch_augments=MIXING), losses=MLKD)


@pytest.mark.parametrize('views, loss', [(1, MLKD), (2, KD)])
def test_a_batch_of_another_number_of_views(views, loss, checkpoint):
    batch = image_batch()
    batch['inputs'] = [batch['inputs']] * 2 if views == 2 else batch['inputs']
    with pytest.raises(ValueError, match=(
            rf'the batch has {views} view\(s\) of each image, the losses need '
            f'{3 - views}: mmpretrain.MultiView in the pipeline makes two')):
        classifier_losses(build(checkpoint, two_views(), losses=loss), batch)


def test_checkpoints_that_plain_mmpretrain_cannot_open(
        checkpoint, monkeypatch):
    texts = []
    monkeypatch.setattr(
        MMLogger.get_current_instance(), 'warning', texts.append)
    distiller = build(checkpoint)
    distiller.parse_losses(classifier_losses(distiller))

    assert len(texts) == 1
    assert 'plain mmpretrain cannot open the checkpoints' in texts[0]


def test_an_unknown_argument(checkpoint):
    with pytest.raises(TypeError, match="argument 'teacher_stage'"):
        build(checkpoint, teacher_stage=1)


def test_the_callers_config_is_not_changed(checkpoint):
    config = distiller_config(
        resnet(train_cfg=MIXING), resnet(), checkpoint, losses=KD)
    config['teacher'].pop('data_preprocessor')
    before = copy.deepcopy(config)
    build_classifier(config)

    assert config == before


class FakeHuggingFace(HuggingFaceClassifier):
    """One of transformers' models, which answer with an object."""

    def __init__(self, num_labels=5, data_preprocessor=None):
        BaseClassifier.__init__(self, data_preprocessor=data_preprocessor)
        self.model = FakeTransformer(num_labels)
        self.loss_module = MMPRETRAIN_MODELS.build(
            dict(type='CrossEntropyLoss'))
        self._register_state_dict_hook(self._remove_state_dict_prefix)
        self._register_load_state_dict_pre_hook(self._add_state_dict_prefix)


class FakeTransformer(torch.nn.Module):

    def __init__(self, num_labels):
        super().__init__()
        self.num_labels = num_labels
        self.classifier = torch.nn.Linear(3, num_labels)

    def forward(self, inputs):
        return SimpleNamespace(logits=self.classifier(inputs.mean((2, 3))))


def test_models_of_transformers(tmp_path, register):
    register(FakeHuggingFace)
    model = dict(
        type='mmpretrain.FakeHuggingFace',
        data_preprocessor=resnet()['data_preprocessor'])
    distiller = make_distiller(tmp_path, model, model)
    same = classifier_losses(distiller)['target.loss_deepkd']
    with torch.no_grad():
        distiller.model.classifier.weight.add_(1.)
        distiller.model.classifier.weight[0] *= -3

    assert list(distiller.state_dict()) == [
        'classifier.weight', 'classifier.bias']
    assert same != classifier_losses(distiller)['target.loss_deepkd'] > 0
