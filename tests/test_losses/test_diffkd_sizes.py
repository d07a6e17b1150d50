"""DiffKD on maps of two sizes: which is resized, and how."""
import pytest
import torch

from mmdeepkd.losses import DiffKDLoss
from tests.helpers.diffkd import random_maps, with_adapter


@pytest.mark.parametrize(('size', 'teacher_size'), [
    ((5, 7), (5, 7)), ((1, 1), (3, 1)), ((2, 3), (4, 6)), ((5, 4), (3, 2)),
    ((4, 6), (6, 4))])
@pytest.mark.parametrize('align', ['student', 'teacher'])
def test_maps_of_two_sizes_are_compared_in_one(align, size, teacher_size):
    loss, adapter = with_adapter(DiffKDLoss(align=align))
    student, teacher = random_maps(size=size, teacher_size=teacher_size)

    output = loss.compare(adapter, student, teacher, 'map')
    sum(loss.terms(output).values()).backward()

    wanted = size if align == 'student' else teacher_size
    assert output.refined.shape[2:] == output.target.shape[2:] == wanted
    assert student.grad.any()


def test_a_map_of_twice_the_size_is_averaged():
    loss, adapter = with_adapter(DiffKDLoss(channels=None))
    student, teacher = random_maps(size=(2, 3), teacher_size=(4, 6))

    target = loss.compare(adapter, student, teacher, 'map').target

    expected = teacher.view(2, 6, 2, 2, 3, 2).mean(dim=(3, 5))
    torch.testing.assert_close(target, expected)


def test_a_map_of_half_the_size_is_interpolated():
    loss, adapter = with_adapter(DiffKDLoss(channels=None))
    student, teacher = random_maps(size=(2, 4), teacher_size=(2, 2))

    target = loss.compare(adapter, student, teacher, 'map').target

    # Without aligned corners: 3 parts of the nearer, 1 of the other.
    left, right = teacher[..., :1], teacher[..., 1:]
    torch.testing.assert_close(target, torch.cat(
        [left, 0.75 * left + 0.25 * right, 0.25 * left + 0.75 * right,
         right], dim=3))


def test_maps_of_two_sizes_may_be_refused():
    loss, adapter = with_adapter(DiffKDLoss(align='error'))

    with pytest.raises(ValueError, match=(
            r"^the maps of 'level2' differ in size, \(2, 4, 5, 4\) in the "
            r'student and \(2, 6, 3, 2\) in the teacher: pair levels')):
        loss(adapter, *random_maps(teacher_size=(3, 2)), place='level2')
