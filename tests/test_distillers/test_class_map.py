"""The teacher's logits in the student's columns."""
import copy
import re

import pytest
import torch

from mmdeepkd.distillers import Classes, ClassMap
from mmdeepkd.distillers.class_map import read_class_names

NAMES = ('cat', 'dog', 'horse', 'cow')


def make(mapping, student=2, names=NAMES, background=True):
    return ClassMap(mapping, Classes(student, 4, names, 'num_classes'),
                    background)


@pytest.mark.parametrize('mapping', [[3, 0], (3, 0), ['cow', 'cat']])
@pytest.mark.parametrize('background, columns', [(True, [3, 0, 4]),
                                                 (False, [3, 0])])
def test_columns_are_picked_in_the_students_order(mapping, background,
                                                  columns):
    class_map = make(mapping, background=background)
    logits = torch.randn(6, 4 + background)

    assert torch.equal(class_map(logits), logits[:, columns])
    assert class_map.num_classes == 2
    assert class_map.teacher_names == ('cow', 'cat')


def test_without_a_mapping_nothing_is_touched():
    class_map = make(None, student=4)
    logits = torch.randn(6, 5)

    assert class_map(logits) is logits
    assert class_map.teacher_names == NAMES


def test_indices_need_no_names():
    assert make([1, 2], names=None).teacher_names is None
    # Of another length they are not those of its classes.
    assert make([1, 2], names=NAMES[:3]).teacher_names is None


def test_it_follows_the_logits_to_their_device():
    class_map = make([3, 0])
    class_map(torch.randn(2, 5))

    assert class_map(torch.empty(2, 5, device='meta')).shape == (2, 3)
    assert copy.deepcopy(class_map)(torch.randn(2, 5)).shape == (2, 3)


@pytest.mark.parametrize('mapping, error, message', [
    (None, ValueError, 'the student has 2 classes, the teacher 4: set '
     'num_classes of both configs to the number of classes in the datasets'),
    ('cat', TypeError, "all by index or all by name, got 'cat'"),
    (dict(a='cat', b='dog'), TypeError, 'all by index or all by name, got {'),
    (['cat', 1], TypeError, "all by name, got ['cat', 1]"),
    ([0.0, 1.0], TypeError, 'all by index or all by name, got [0.0, 1.0]'),
    ([True, False], TypeError, 'by index or all by name, got [True, False]'),
    ([0], ValueError, 'has 1 entries, the student 2 classes (num_classes): '
     "list the teacher's class for each of them"),
    ([], ValueError, 'has 0 entries, the student 2 classes'),
    ([0, 4], ValueError, 'has the indices [4], the teacher 4 classes: they '
     'are counted from 0 to 3'),
    ([-1, 0], ValueError, 'has the indices [-1], the teacher 4 classes'),
    ([1, 1], ValueError, 'has [1] more than once, which the teacher cannot '
     'tell apart'),
    (['dog', 'dog'], ValueError, "has ['dog'] more than once"),
    (['cats', 'dog'], ValueError, "has the names ['cats'], which the teacher "
     "does not know; near are ['cat']: correct them"),
    (['zebra', 'dog'], ValueError, "has the names ['zebra'], which the "
     "teacher does not know; it knows ['cat', 'dog', 'horse', 'cow']"),
])
def test_a_mapping_that_cannot_be(mapping, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make(mapping)


def test_names_of_a_teacher_without_names():
    with pytest.raises(ValueError, match=(
            'has names, but the teacher checkpoint does not name its 4 '
            'classes .*: give their indices instead')):
        make(['cat', 'dog'], names=None)


@pytest.mark.parametrize('checkpoint, names', [
    (dict(meta=dict(dataset_meta=dict(classes=('a', 'b')))), ('a', 'b')),
    (dict(meta=dict(dataset_meta=dict(CLASSES=['a']))), ('a', )),
    (dict(meta=dict(CLASSES=('a', 'b'))), ('a', 'b')),
    (dict(meta=dict(epoch=1)), None),
    (dict(meta=dict(dataset_meta=None)), None),
    (dict(meta=dict(CLASSES=None)), None),
    (dict(state_dict={}), None),
])
def test_the_names_in_a_checkpoint(checkpoint, names):
    assert read_class_names(checkpoint) == names
