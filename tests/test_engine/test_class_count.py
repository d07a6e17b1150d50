"""Classes of datasets, student and teacher that do not agree are found."""
import json
import re
from types import SimpleNamespace

import pytest
from mmdet.datasets import CocoDataset, CocoPanopticDataset
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.logging import MMLogger
from torch import nn

from mmdeepkd.distillers import Classes, ClassMap
from mmdeepkd.engine import ClassCountHook, DistillRunner, dataset_classes
from mmdeepkd.engine.dataset_classes import labelled_categories
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
            f'the {role} set has 80 classes in its metainfo '
            "('person', 'bicycle', 'car', 'motorcycle', ...), of which none "
            f'is a category of {tmp_path}/train.json: name the')):
        (hook.before_test if role == 'test' else hook.before_train)(runner)


def test_classes_in_another_order_than_the_files(tmp_path):
    dataset = coco(write_annotations(tmp_path), ('bolt', 'gear', 'nut'))
    # Label 1 is called 'gear', and has the boxes of 'nut'.
    assert dataset.cat2label == {7: 0, 9: 1, 11: 2}
    with pytest.raises(ValueError, match=re.escape(
            "the training set gives the boxes of 'nut' the label 1, that of "
            "'gear' in its metainfo: mmdet numbers the classes that "
            f"{tmp_path}/train.json has by its order, 'bolt', 'nut', 'gear'; "
            'write metainfo=dict(classes=(...)) in this order, or add')):
        ClassCountHook().before_train(runner_of(dataset))


def test_classes_that_the_file_lacks(tmp_path, logged):
    """The last ones leave the labels right, others shift them."""
    path = write_annotations(tmp_path, ('bolt', 'nut'), ('bolt', 'nut'))
    part = coco(path, ('bolt', 'nut', 'gear'))
    ClassCountHook().before_train(
        runner_of(ConcatDataset([coco(write_annotations(
            tmp_path, name='all')), part]), part))
    assert logged['warning'] == [
        f'The {role} set has 3 classes in its metainfo, of which 1 are no '
        f"category of {path} ('gear')." for role in ('training', 'validation')]

    with pytest.raises(ValueError, match="'bolt' the label 0, that of 'gear'"):
        ClassCountHook().before_train(
            runner_of(coco(path, ('gear', 'bolt', 'nut'))))


def own_labels(labels, classes, path):
    """A dataset with a table of its own; the file has the ids 7, 9, 11."""

    class Own(CocoDataset):

        def parse_data_info(self, raw_data_info):
            self.cat2label = labels
            return super().parse_data_info(raw_data_info)

    return Own(ann_file=path, metainfo=dict(classes=classes),
               data_prefix=dict(img=''))


@pytest.mark.parametrize('labels, classes', [
    # By name, of ids that the file lacks too, and several to one.
    ({7: 2, 9: 1, 11: 0}, ('gear', 'nut', 'bolt')),
    ({1: 0, 7: 1, 9: 2, 11: 3}, ('cog', *THREE)),
    ({7: 0, 9: 0, 11: 1}, ('fastener', 'gear'))])
def test_a_dataset_with_its_own_labels(labels, classes, tmp_path):
    dataset = own_labels(labels, classes, write_annotations(tmp_path))
    runner = runner_of(dataset)
    ClassCountHook().before_train(runner)


@pytest.mark.parametrize('labels, message', [
    ({7: 0, 9: 2, 11: 1}, "'nut' the label 2, that of 'gear' in"),
    ({7: 0, 9: 1, 11: 3}, "'gear' the label 3, that of no class in")])
def test_a_dataset_with_its_own_wrong_labels(labels, message, tmp_path):
    path = write_annotations(tmp_path)
    with pytest.raises(ValueError, match=message):
        ClassCountHook().before_train(
            runner_of(own_labels(labels, THREE, path)))


def test_files_without_categories(tmp_path):
    """Tests of a challenge have images only."""
    path = write_annotations(tmp_path, names=())
    (tmp_path / 'empty.txt').touch()
    listed = SimpleNamespace(
        metainfo=dict(classes=THREE), cat2label=dict.fromkeys(THREE),
        ann_file=str(tmp_path / 'empty.txt'))
    for dataset in (coco(path, test_mode=True), listed):
        ClassCountHook().before_test(runner_of(None, test=dataset))


def test_a_dataset_or_a_model_of_another_kind():
    dataset = SimpleNamespace(metainfo=None)
    runner = runner_of([0], dataset, class_map={'bolt': 0}, test=dataset)
    ClassCountHook().before_train(runner)
    ClassCountHook().before_test(runner)


@pytest.mark.parametrize('count, names', [(80, None), (2, THREE)])
def test_a_panoptic_set_has_boxes_of_its_things(count, names):
    """133 classes, 80 of which are things; own classes tell no things."""

    class Loaded(CocoPanopticDataset):

        def __len__(self):
            return 1

    dataset = Loaded(metainfo=names and dict(classes=names), lazy_init=True,
                     data_prefix=dict(img=''))
    things = dataset.metainfo['thing_classes']
    runner = runner_of(dataset, class_map=classes_of(
        count, count, things if count == 80 else None))
    ClassCountHook().before_train(runner)


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


HEADS = [
    lambda head: dict(roi_head=SimpleNamespace(bbox_head=head)),
    # Each stage of a cascade.
    lambda head: dict(roi_head=SimpleNamespace(bbox_head=[head, head])),
    lambda head: dict(bbox_head=head, rpn_head=SimpleNamespace(num_classes=1)),
    lambda head: dict(head=head),
]


@pytest.mark.parametrize('place', HEADS)
def test_a_model_without_teacher(place, tmp_path, logged):
    dataset = coco(write_annotations(tmp_path))
    for count in (3, 5, 2):
        runner = runner_of(dataset)
        runner.model = SimpleNamespace(
            **place(SimpleNamespace(num_classes=count)))
        said = ("training set has 3 classes ('bolt', 'nut', 'gear'), the "
                f"model's head {count}: set its num_classes and "
                'metainfo=dict(classes=(...)) of the datasets to the same.')
        if count < 3:
            with pytest.raises(ValueError, match=re.escape(said)):
                ClassCountHook().before_train(runner)
            continue
        ClassCountHook().before_train(runner)
        assert logged['warning'] == ([] if count == 3 else [f'The {said}'])


def test_a_single_class_without_its_comma(tmp_path):
    dataset = coco(write_annotations(tmp_path), classes='bolt')
    with pytest.raises(ValueError, match=re.escape(
            "the training set has the text 'bolt' for classes in its "
            "metainfo: a single class needs a comma, ('bolt', ).")):
        ClassCountHook().before_train(runner_of(dataset))


def test_a_training_set_without_images():
    with pytest.raises(ValueError, match='the training set has no image: see'):
        ClassCountHook().before_train(runner_of([]))


@pytest.mark.parametrize('metainfo, shown', [
    (None, "not set: mmdet's default is COCO's 80 classes"),
    (dict(classes=('bolts', 'nuts')), "('bolts', 'nuts')")])
def test_a_dataset_that_filters_out_all_its_images(metainfo, shown, tmp_path):
    """MMEngine: "need at least one array to concatenate"."""
    path = write_annotations(tmp_path)
    dataset = dict(
        type='mmdet.CocoDataset', ann_file=path, metainfo=metainfo,
        data_prefix=dict(img=''), filter_cfg=dict(filter_empty_gt=True))
    with pytest.raises(ValueError, match=re.escape(
            f'the dataset mmdet.CocoDataset of {path} '
            f'(metainfo=dict(classes=(...)), {shown}) has no image left: see '
            'that its annotations are of its classes, and what')):
        DistillRunner.build_dataloader(
            dict(
                batch_size=1, num_workers=0,
                sampler=dict(type='DefaultSampler'),
                dataset=dict(type='RepeatDataset', times=2, dataset=dataset)))


def test_all_parts_that_can_be_without_images_are_named(tmp_path):
    parts = [
        dict(type='mmdet.CocoDataset', metainfo=metainfo,
             ann_file=write_annotations(tmp_path, name=name),
             data_prefix=dict(img=''), filter_cfg=dict(filter_empty_gt=True))
        for name, metainfo in (('a', dict(classes=THREE)), ('b', None))]
    with pytest.raises(ValueError, match=re.escape(
            f'the dataset mmdet.CocoDataset of {tmp_path}/a.json '
            "(metainfo=dict(classes=(...)), ('bolt', 'nut', 'gear')) or "
            f'mmdet.CocoDataset of {tmp_path}/b.json (metainfo=')):
        DistillRunner.build_dataloader(
            dict(batch_size=1, num_workers=0,
                 sampler=dict(type='DefaultSampler'),
                 dataset=dict(type='ConcatDataset', datasets=parts)))


def test_a_part_without_objects_is_warned_of(tmp_path, logged):
    """Images of the background alone, beside those with boxes."""
    parts = [coco(write_annotations(tmp_path)),
             coco(write_annotations(tmp_path, annotated=[], name='none'))]
    ClassCountHook().before_train(runner_of(ConcatDataset(parts)))

    line, = logged['warning']
    assert line.startswith('The training set has no annotation of 3 of its 3')


def test_a_file_is_read_once(tmp_path, monkeypatch):
    read = []

    def count(path):
        read.append(path)
        return [dict(id=7 + 2 * i, name=n) for i, n in enumerate(THREE)]

    monkeypatch.setattr(dataset_classes, '_read_categories', count)
    path = write_annotations(tmp_path)
    ClassCountHook().before_train(runner_of(coco(path)))
    assert read == [path]


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

    for some in (names, names[1:]):
        found = labelled_categories(coco(path, some))
        assert [(name, label) for _, name, label in found] == [
            (name, label) for label, name in enumerate(some)]
    # Neither mmpretrain's nor one's own.
    assert labelled_categories([1, 2]) is None


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
