"""With losses on maps alone neither heads nor labels are of interest."""
import pytest
import torch
from mmpretrain.structures import DataSample
from torch import nn

from mmdeepkd.losses.feature_loss import FeatureLoss, FeatureTerms
from mmdeepkd.registry import MODELS
from tests.helpers.classifier_runs import classifier_losses, classifier_steps
from tests.helpers.classifiers import image_batch, make_distiller, resnet
from tests.helpers.distilled_classifiers import DIFFKD, LOGITS

KD = dict(type='mmdeepkd.KDLoss')
SIGMOID = dict(type='mmpretrain.CrossEntropyLoss', use_sigmoid=True)


class Gap(FeatureLoss):
    """It has what is documented, and nothing else."""

    method = 'gap'
    reads = 'maps'

    def build_adapter(self, student_channels, teacher_channels):
        return nn.Conv2d(student_channels, teacher_channels, 1)

    def forward(self, adapter, feature_student, feature_teacher, place):
        difference = adapter(feature_student) - feature_teacher.detach()
        return FeatureTerms({'': difference.square().mean()}, {})


def multi_label(width=4):
    """A ResNet that is trained on several labels per image."""
    model = resnet(width=width)
    model['head'] = dict(
        type='mmpretrain.MultiLabelLinearClsHead', num_classes=5,
        in_channels=8 * width)
    return model


def several_labels(scores):
    """Return a batch whose images have two labels, as MultiLabel packs."""
    batch = image_batch()
    for i in range(4):
        sample = DataSample()
        if scores:
            sample.set_gt_score(torch.eye(5)[i] + torch.eye(5)[4])
        else:
            sample.set_gt_label([i, 4])
        batch['data_samples'][i] = sample
    return batch


@pytest.mark.parametrize('scores', [True, False], ids=['scores', 'labels'])
def test_several_labels_per_image(scores, tmp_path):
    distiller = make_distiller(
        tmp_path, multi_label(), multi_label(6), losses=DIFFKD)
    batch = several_labels(scores)
    losses = classifier_losses(distiller, batch)
    data = distiller.data_preprocessor(batch, True)
    expected = distiller.student.loss(**data)

    torch.testing.assert_close(losses['loss_cls'], expected['loss'])
    assert losses['feature.loss_diffkd'] > 0
    classifier_steps(distiller, 2, batch)


@pytest.mark.parametrize('student, teacher', [
    (SIGMOID, None), (None, SIGMOID), (SIGMOID, SIGMOID)],
    ids=['student', 'teacher', 'both'])
def test_sigmoid_heads(student, teacher, tmp_path):
    models = [resnet(head=dict(loss=loss) if loss else {}, pixels=dict(
        to_onehot=loss is not None)) for loss in (student, teacher)]
    distiller = make_distiller(tmp_path, *models, losses=DIFFKD)

    assert classifier_losses(distiller)['feature.loss_diffkd'] > 0
    for losses in (LOGITS, [DIFFKD, KD]):
        with pytest.raises(ValueError, match='trains sigmoid logits'):
            make_distiller(tmp_path, *models, losses=losses)


def test_without_losses_on_logits_there_is_no_number_of_them(tmp_path):
    distiller = make_distiller(tmp_path, resnet(), resnet(), losses=DIFFKD)

    assert not hasattr(distiller, 'num_logits')
    assert distiller.class_map is None
    with pytest.raises(AttributeError, match=(
            'this ClassifierDistiller has no num_logits, for none of its '
            'losses compares logits: add one that does, such as '
            'mmdeepkd.DeepKDLoss, or remove what asks for the number')):
        distiller.num_logits  # noqa: B018
    for losses in (LOGITS, [DIFFKD, KD]):
        assert make_distiller(
            tmp_path, resnet(), resnet(), losses=losses).num_logits == 5


def test_a_loss_of_ones_own(tmp_path):
    MODELS.register_module(module=Gap)
    try:
        distiller = make_distiller(tmp_path, resnet(), resnet(width=6),
                                   losses=dict(type='mmdeepkd.Gap'))
    finally:
        MODELS._module_dict.pop('Gap')

    assert set(classifier_losses(distiller)) == {
        'loss_cls', 'feature.loss_gap'}
    assert list(distiller.distill.gap) == ['map']


@pytest.mark.parametrize('losses', [[DIFFKD], [KD, LOGITS], [DIFFKD, LOGITS]],
                         ids=['maps', 'logits', 'both'])
def test_cast_as_a_whole(losses, tmp_path):
    distiller = make_distiller(
        tmp_path, resnet(), resnet(width=6), losses=losses).bfloat16()
    distiller.train()
    data = distiller.data_preprocessor(image_batch(size=64), True)
    total, _ = distiller.parse_losses(
        distiller(data['inputs'].bfloat16(), data['data_samples'], 'loss'))
    total.backward()

    assert total.isfinite()
    assert distiller.backbone.conv1.weight.grad.dtype == torch.bfloat16
    assert all(p.grad is not None for p in distiller.distill.parameters())
