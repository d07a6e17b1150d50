"""Teachers that know more classes than the student."""
import copy

import pytest
import torch

from tests.helpers.detectors import cascade_rcnn, faster_rcnn
from tests.helpers.distillers import (
    build_detector,
    distiller_config,
    write_teacher,
)
from tests.helpers.training import distilled, loss_dict, train_steps

NAMES = ('plane', 'cat', 'boat', 'dog', 'car')
# The student's three classes among the teacher's five.
COLUMNS = [4, 0, 2]


def write_sliced(path, sliced):
    """Write the teacher that has only the student's classes."""
    saved = torch.load(path)
    state = saved['state_dict']
    for key, value in state.items():
        if '.fc_cls.' in key:
            state[key] = value[[*COLUMNS, 5]]
        elif '.fc_reg.' in key and len(value) == 20:
            state[key] = torch.cat([value[4 * i:4 * i + 4] for i in COLUMNS])
    torch.save(saved, sliced)
    return str(sliced)


def make(student, teacher, checkpoint, **kwargs):
    torch.manual_seed(0)
    distiller = build_detector(
        distiller_config(student, teacher, checkpoint, **kwargs))
    distiller.init_weights()
    return distiller


@pytest.fixture
def checkpoint(tmp_path):
    """A teacher's file that names its classes, as mmdet writes it."""
    path = write_teacher(faster_rcnn(5), tmp_path / 'teacher.pth')
    saved = torch.load(path)
    saved['meta'] = dict(dataset_meta=dict(classes=NAMES))
    torch.save(saved, path)
    return path


@pytest.mark.parametrize('loss', ['DeepKDLoss', 'KDLoss', 'DKDLoss'])
@pytest.mark.parametrize('student, teacher', [
    (faster_rcnn, faster_rcnn), (faster_rcnn, cascade_rcnn),
    (cascade_rcnn, faster_rcnn), (cascade_rcnn, cascade_rcnn)])
def test_it_teaches_as_a_teacher_of_these_classes_alone(
        student, teacher, loss, tmp_path):
    path = write_teacher(teacher(5), tmp_path / 'teacher.pth')
    sliced = write_sliced(path, tmp_path / 'sliced.pth')
    losses = dict(type=f'mmdeepkd.{loss}')
    mapped = make(student(), teacher(5), path, losses=losses,
                  teacher_class_map=COLUMNS)
    alone = make(student(), teacher(3), sliced, losses=losses)
    values = []
    for distiller in (mapped, alone):
        torch.manual_seed(1)
        values.append(distilled(loss_dict(distiller)))

    assert mapped.num_logits == 4
    assert values[0].keys() == values[1].keys()
    for name, value in values[0].items():
        assert value > 0
        torch.testing.assert_close(value, values[1][name])


def test_names_are_those_of_the_checkpoint(checkpoint):
    by_name = make(faster_rcnn(), faster_rcnn(5), checkpoint,
                   teacher_class_map=['car', 'plane', 'boat'])
    logits = torch.randn(3, 6)

    assert torch.equal(by_name.class_map(logits), logits[:, [*COLUMNS, 5]])
    with pytest.raises(ValueError, match=(
            r"has the names \['boot'\], .*; near are \['boat'\]")):
        make(faster_rcnn(), faster_rcnn(5), checkpoint,
             teacher_class_map=['car', 'plane', 'boot'])


def test_the_students_checkpoint_stays_plain(checkpoint):
    distiller = make(faster_rcnn(), faster_rcnn(5), checkpoint,
                     teacher_class_map=COLUMNS)
    train_steps(distiller)
    copied = copy.deepcopy(distiller)

    assert distiller.state_dict().keys() == build_detector(
        faster_rcnn()).state_dict().keys()
    for step in train_steps(copied):
        assert torch.isfinite(step['loss'])


def test_other_classes_without_a_map(checkpoint):
    """Both numbers, and the three places that set them."""
    with pytest.raises(ValueError, match=(
            'the student has 3 classes, the teacher 5: set roi_head.bbox_head'
            r".num_classes of both configs to the number of classes in the "
            "datasets' metainfo, .* list its class for each of them in "
            'teacher_class_map')):
        make(faster_rcnn(), faster_rcnn(5), checkpoint)
