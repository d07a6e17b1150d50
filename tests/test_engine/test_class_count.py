"""Classes of datasets, student and teacher that do not agree are found."""
import json
import re
from types import SimpleNamespace

import pytest
from mmdet.datasets import CocoDataset
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.logging import MMLogger
from torch import nn

from mmdeepkd.distillers import Classes, ClassMap
from mmdeepkd.engine import ClassCountHook, DistillRunner
from mmdeepkd.engine.dataset_classes import labelled_names
from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import distiller_config, write_teacher
from tests.helpers.training import Scenes, run_training

THREE = ('bolt', 'nut', 'gear')


def write_annotations(folder, names=THREE, annotated=THREE, name='train',
                      **extra):
    """Write a COCO file with one box of each annotated class."""
    categories = [dict(id=7 + 2 * i, name=n) for i, n in enumerate(names)]
    boxes = [
        dict(id=i, image_id=1, category_id=entry['id'], bbox=[1, 1, 20, 20],
             area=400, iscrowd=0) for i, entry in enumerate(categories)
        if entry['name'] in annotated
    ]
    path = folder / f'{name}.json'
    path.write_text(
        json.dumps(
            dict(
                images=[dict(id=1, file_name='a.png', width=64, height=64)],
                annotations=boxes,
                categories=categories,
                **extra)))
    return str(path)


def coco(path, classes=THREE, **kwargs):
    metainfo = None if classes is None else dict(classes=classes)
    return CocoDataset(ann_file=path, metainfo=metainfo,
                       data_prefix=dict(img=''), **kwargs)


def runner_of(train, val=None, class_map=None, test=None):
    """What the hook asks of a runner."""
    model = nn.Module()
    if class_map is not None:
        model.class_map = class_map

    def loop(dataset):
        return None if dataset is None else SimpleNamespace(
            dataloader=SimpleNamespace(dataset=dataset))

    return SimpleNamespace(
        model=model, train_loop=loop(train), val_loop=loop(val),
        test_loop=loop(test), logger=MMLogger.get_current_instance())


def classes_of(student=3, teacher=3, names=None, mapping=None):
    return ClassMap(
        mapping, Classes(student, teacher, names, 'num_classes'), True)


@pytest.fixture
def logged(monkeypatch):
    """Collect what is logged, by level."""
    lines = dict(warning=[], info=[])
    for level in lines:
        monkeypatch.setattr(MMLogger.get_current_instance(), level,
                            lines[level].append)
    return lines


def test_classes_that_agree(tmp_path, logged):
    dataset = coco(write_annotations(tmp_path))
    runner = runner_of(dataset, dataset, classes_of(names=THREE), dataset)
    ClassCountHook().before_train(runner)
    ClassCountHook().before_test(runner)
    # A part of the file's, a plain model, a set that names no classes.
    ClassCountHook().before_train(
        runner_of(coco(write_annotations(tmp_path), ('bolt', 'gear'))))
    ClassCountHook().before_train(runner_of([0], class_map=classes_of()))

    assert logged == dict(warning=[], info=[])


@pytest.mark.parametrize('role', ['training', 'validation', 'test'])
@pytest.mark.parametrize('wrap', [
    lambda d: d, lambda d: RepeatDataset(d, 2),
    lambda d: ConcatDataset([d, d])])
def test_a_dataset_whose_classes_are_not_named(role, wrap, tmp_path):
    """mmdet takes COCO's 80, and drops every box."""
    good = coco(write_annotations(tmp_path))
    bad = wrap(coco(write_annotations(tmp_path), None))
    sets = dict(train=good, val=good, test=good)
    sets[dict(training='train', validation='val', test='test')[role]] = bad
    runner = runner_of(**sets)
    hook = ClassCountHook()
    with pytest.raises(ValueError, match=re.escape(
            f'the {role} set has 80 classes in its metainfo, of which 80 are '
            f"no category of {tmp_path}/train.json (first: 'person')")):
        (hook.before_test if role == 'test' else hook.before_train)(runner)


def test_classes_in_another_order_than_the_files(tmp_path):
    dataset = coco(write_annotations(tmp_path), ('bolt', 'gear', 'nut'))
    # Label 1 is called 'gear', and has the boxes of 'nut'.
    assert dataset.cat2label == {7: 0, 9: 1, 11: 2}
    with pytest.raises(ValueError, match=re.escape(
            "has the classes 'bolt', 'gear', 'nut' in its metainfo, and "
            f"{tmp_path}/train.json the categories 'bolt', 'nut', 'gear', by "
            'whose order mmdet numbers them')):
        ClassCountHook().before_train(runner_of(dataset))


@pytest.mark.parametrize('num_classes', [2, 80])
def test_a_student_with_another_number_of_classes(num_classes, tmp_path):
    runner = runner_of(
        coco(write_annotations(tmp_path)),
        class_map=classes_of(num_classes, num_classes))
    with pytest.raises(ValueError, match=re.escape(
            "the training set has 3 classes ('bolt', 'nut', 'gear'), the "
            f'student {num_classes}: the number is set in three places, '
            "num_classes of the student's head, num_classes of the teacher's "
            'head (or teacher_class_map) and metainfo=dict(classes=(...)) of '
            'the datasets')):
        ClassCountHook().before_train(runner)


def test_a_training_set_without_images():
    with pytest.raises(ValueError, match='the training set has no image: see'):
        ClassCountHook().before_train(runner_of([]))


@pytest.mark.parametrize('metainfo, shown', [
    (None, "is not set (mmdet's default is COCO's 80 classes)"),
    (dict(classes=('bolts', 'nuts')), "is ('bolts', 'nuts')")])
def test_a_dataset_that_filters_out_all_its_images(metainfo, shown, tmp_path):
    """MMEngine: "need at least one array to concatenate"."""
    path = write_annotations(tmp_path)
    dataset = dict(
        type='mmdet.CocoDataset', ann_file=path, metainfo=metainfo,
        data_prefix=dict(img=''), filter_cfg=dict(filter_empty_gt=True))
    with pytest.raises(ValueError, match=re.escape(
            f'the dataset mmdet.CocoDataset of {path} has no image left: see '
            'that its annotations are of the classes in '
            f'metainfo=dict(classes=(...)), which {shown}, and what')):
        DistillRunner.build_dataloader(
            dict(
                batch_size=1, num_workers=0,
                sampler=dict(type='DefaultSampler'),
                dataset=dict(type='RepeatDataset', times=2, dataset=dataset)))


def test_a_training_set_without_annotations(tmp_path, logged):
    hook = ClassCountHook()
    hook.before_train(
        runner_of(coco(write_annotations(tmp_path, annotated=['nut']))))
    assert logged['warning'] == [
        'The training set has no annotation of 2 of its 3 classes '
        f"('bolt', 'gear') in {tmp_path}/train.json."]
    with pytest.raises(ValueError, match=re.escape(
            'the training set has no annotation of its 3 classes '
            f"('bolt', 'nut', 'gear') in {tmp_path}/train.json: give")):
        hook.before_train(
            runner_of(coco(write_annotations(tmp_path, annotated=[]))))


def test_a_teacher_of_the_same_classes_in_another_order(tmp_path):
    """The same number of classes, so that nothing else finds it."""
    names = ('bolt', 'gear', 'nut')
    dataset = coco(write_annotations(tmp_path))
    with pytest.raises(ValueError, match=re.escape(
            "class 1 is 'nut' in the training set and 'gear' in the teacher's "
            'checkpoint, which has the same 3 classes in another order: set '
            "model.teacher_class_map to the training set's names")):
        ClassCountHook().before_train(
            runner_of(dataset, class_map=classes_of(names=names)))
    # As told.
    ClassCountHook().before_train(
        runner_of(dataset,
                  class_map=classes_of(names=names, mapping=list(THREE))))


def test_a_teacher_of_other_classes(tmp_path, logged):
    dataset = coco(write_annotations(tmp_path))
    names = ('bolt', 'screw', 'gear')
    ClassCountHook().before_train(
        runner_of(dataset, class_map=classes_of(names=names)))
    line, = logged['warning']
    assert line.startswith("Class 1 is 'nut' in the training set and 'screw' ")
    # Who maps the classes has thought of them; the log says how.
    ClassCountHook().before_train(
        runner_of(dataset,
                  class_map=classes_of(names=names, mapping=[0, 1, 2])))
    assert logged['warning'] == [line]
    assert logged['info'] == [
        "teacher_class_map teaches 'bolt' from 'bolt', 'nut' from 'screw', "
        "'gear' from 'gear'."]


@pytest.mark.parametrize('extra', [
    {}, dict(info=dict(categories='all')), dict(licenses=['"categories"'])])
def test_the_categories_are_found_in_the_file(extra, tmp_path):
    names = ('a [b]', 'ä"c', 'd, {e}')
    path = write_annotations(tmp_path, names, **extra)

    assert labelled_names(coco(path, names)) == list(names)
    assert labelled_names(coco(path, names[1:])) == list(names[1:])
    # Neither mmpretrain's nor one's own.
    assert labelled_names([1, 2]) is None


def test_the_hook_is_in_every_distillation_run(tmp_path):
    class Named(Scenes):
        metainfo = dict(classes=('a', 'b', 'c', 'd'))

    config = distiller_config(
        faster_rcnn(), faster_rcnn(),
        write_teacher(faster_rcnn(), tmp_path / 'teacher.pth'))
    wrapper = dict(
        type='mmdeepkd.DeepKDOptimWrapper', delta=0.05,
        optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
    with pytest.raises(ValueError, match=(
            'the training set has 4 classes .*, the student 3: the number')):
        run_training(config, wrapper, tmp_path, runner_class=DistillRunner,
                     dataset=Named(), iterations=1)
