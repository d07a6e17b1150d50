"""Teachers that know more classes than the student."""
import pytest
import torch

from tests.helpers import view_losses  # noqa: F401  (registers its loss)
from tests.helpers.classifier_runs import classifier_losses
from tests.helpers.classifiers import (
    build_classifier,
    distiller_config,
    image_batch,
    resnet,
    write_teacher,
)
from tests.helpers.training import distilled

# The student's five classes among the teacher's eight.
COLUMNS = [6, 1, 5, 0, 3]


def write_sliced(path, sliced):
    """Write the teacher that has only the student's classes."""
    saved = torch.load(path)
    for key in ('head.fc.weight', 'head.fc.bias'):
        saved['state_dict'][key] = saved['state_dict'][key][COLUMNS]
    torch.save(saved, sliced)
    return str(sliced)


def losses_of(student, teacher, checkpoint, batch, **kwargs):
    torch.manual_seed(0)
    distiller = build_classifier(
        distiller_config(student, teacher, checkpoint, **kwargs))
    distiller.init_weights()
    return distilled(classifier_losses(distiller, batch))


@pytest.mark.parametrize('views', [1, 2])
def test_it_teaches_as_a_teacher_of_these_classes_alone(views, tmp_path):
    path = write_teacher(resnet(8), tmp_path / 'teacher.pth')
    sliced = write_sliced(path, tmp_path / 'sliced.pth')
    student, batch = resnet(), image_batch()
    losses = dict(type='mmdeepkd.DeepKDLoss')
    if views == 2:
        student = resnet(pixels=dict(type='mmdeepkd.TwoViewDataPreprocessor'))
        losses = dict(type='mmdeepkd.WeightedViewsLoss')
        batch['inputs'] = [batch['inputs'], batch['inputs'].flip(-1)]
    mapped = losses_of(student, resnet(8), path, batch, losses=losses,
                       teacher_class_map=COLUMNS)
    alone = losses_of(student, resnet(), sliced, batch, losses=losses)

    assert len(mapped) == 2
    for name, value in mapped.items():
        assert value > 0
        torch.testing.assert_close(value, alone[name])


def test_a_wrapped_teacher_names_its_classes(tmp_path):
    """mmpretrain's TimmClassifier is loaded into the network inside."""
    teacher = dict(
        type='mmpretrain.TimmClassifier',
        data_preprocessor=resnet()['data_preprocessor'],
        model_name='mobilenetv3_small_050',
        num_classes=3)
    model = build_classifier(teacher)
    torch.save(
        dict(
            state_dict=model.model.state_dict(),
            meta=dict(dataset_meta=dict(classes=['dog', 'cat', 'cow']))),
        tmp_path / 'teacher.pth')
    distiller = build_classifier(
        distiller_config(
            resnet(2), teacher, str(tmp_path / 'teacher.pth'),
            losses=dict(type='mmdeepkd.KDLoss'),
            teacher_class_map=['cow', 'dog']))

    logits = torch.randn(2, 3)
    assert torch.equal(distiller.class_map(logits), logits[:, [2, 0]])
    assert distiller.num_logits == 2
