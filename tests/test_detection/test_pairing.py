"""Which boxes and which head of the teacher, and with what they meet."""
import copy

import pytest
import torch
from mmdet.structures.bbox import bbox_overlaps

from tests.helpers.batches import detection_batch
from tests.helpers.detectors import cascade_rcnn, faster_rcnn, mask_rcnn
from tests.helpers.distillers import make_distiller
from tests.helpers.training import distilled, loss_dict


def used_stages(distiller):
    """Return the stages of the teacher that score, in order of use."""
    used = []
    heads = distiller.teacher.roi_head.bbox_head
    heads = heads if isinstance(heads, torch.nn.ModuleList) else [heads]
    for i, head in enumerate(heads):
        head.register_forward_pre_hook(
            lambda module, args, i=i: used.append(i))
    loss_dict(distiller)
    return used


@pytest.mark.parametrize('student, teacher, stage, used', [
    (cascade_rcnn(), cascade_rcnn(), None, [0, 1, 2]),
    (cascade_rcnn(), faster_rcnn(), None, [0, 0, 0]),
    (faster_rcnn(), cascade_rcnn(), None, [0]),
    (faster_rcnn(), cascade_rcnn(), 2, [2]),
    (cascade_rcnn(), cascade_rcnn(), 1, [1, 1, 1]),
    (cascade_rcnn(stages=2), cascade_rcnn(), None, [0, 1]),
])
def test_pairing_of_stages(student, teacher, stage, used, tmp_path):
    distiller = make_distiller(
        tmp_path, student, teacher, teacher_stage=stage)

    assert used_stages(distiller) == used


def test_the_teacher_scores_the_students_own_boxes(tmp_path):
    distiller = make_distiller(tmp_path, cascade_rcnn(), cascade_rcnn())
    boxes = {'student': [], 'teacher': []}
    for name, model in (('student', distiller),
                        ('teacher', distiller.teacher)):
        for extractor in model.roi_head.bbox_roi_extractor:
            extractor.register_forward_pre_hook(
                lambda module, args, name=name: boxes[name].append(args[1]))
    loss_dict(distiller)

    assert len(boxes['student']) == 3
    assert all(map(torch.equal, boxes['student'], boxes['teacher']))


@pytest.mark.parametrize('shared', [False, True])
def test_a_mask_heads_boxes_are_not_mistaken(shared, tmp_path):
    """Even where mask and box head share the RoI extractor."""
    distiller = make_distiller(
        tmp_path, mask_rcnn(shared_extractor=shared), faster_rcnn())
    own, taught = [], []
    distiller.roi_head.bbox_roi_extractor.register_forward_pre_hook(
        lambda module, args: own.append(args[1]))
    distiller.teacher.roi_head.bbox_roi_extractor.register_forward_pre_hook(
        lambda module, args: taught.append(args[1]))
    loss_dict(distiller, detection_batch(masks=True))

    assert len(taught) == 1
    assert torch.equal(own[0], taught[0])


@pytest.mark.parametrize('shared', [False, True])
def test_the_loss_gets_the_students_logits_and_labels(shared, tmp_path):
    distiller = make_distiller(
        tmp_path, mask_rcnn(shared_extractor=shared), faster_rcnn(),
        losses=dict(type='mmdeepkd.KDLoss'))
    own, given = [], []
    distiller.roi_head.bbox_head.loss_cls.register_forward_pre_hook(
        lambda module, args, kwargs: own.append((*args[:3], kwargs)),
        with_kwargs=True)
    distiller.losses[0].register_forward_pre_hook(
        lambda module, args, kwargs: given.append((args, kwargs)),
        with_kwargs=True)
    loss_dict(distiller, detection_batch(masks=True))

    (logits, labels, weights, own_kwargs), = own
    (args, kwargs), = given
    assert args[0] is logits
    assert args[1].shape == logits.shape
    assert torch.equal(args[2], labels)
    assert torch.equal(kwargs['weight'], weights)
    assert kwargs['avg_factor'] == own_kwargs['avg_factor']
    assert set(labels.tolist()) > {3}


def test_labels_are_those_of_the_boxes(tmp_path):
    """Row by row, also beside images without boxes and flipped ones."""
    distiller = make_distiller(
        tmp_path, faster_rcnn(), faster_rcnn(),
        losses=dict(type='mmdeepkd.KDLoss'))
    rois, labels = [], []
    distiller.teacher.roi_head.bbox_roi_extractor.register_forward_pre_hook(
        lambda module, args: rois.append(args[1]))
    distiller.losses[0].register_forward_pre_hook(
        lambda module, args, kwargs: labels.append(args[2]), with_kwargs=True)
    batch = detection_batch(images=4, boxes=3)
    instances = [sample.gt_instances for sample in batch['data_samples']]
    batch['data_samples'][1].gt_instances = instances[1][:0]
    batch['inputs'][2] = batch['inputs'][2].flip(-1)
    instances[2].bboxes[:, [0, 2]] = 64 - instances[2].bboxes[:, [2, 0]]
    truth = [copy.deepcopy(sample.gt_instances)
             for sample in batch['data_samples']]
    loss_dict(distiller, batch)

    seen = set()
    for (image, *box), label in zip(rois[0].tolist(), labels[0].tolist()):
        found = truth[int(image)]
        overlaps = bbox_overlaps(torch.tensor([box]), found.bboxes)[0]
        foreground = bool((overlaps >= 0.5).any())
        assert label == (
            int(found.labels[overlaps.argmax()]) if foreground else 3)
        seen.add((int(image), foreground))
    assert seen == {(0, True), (0, False), (1, False), (2, True), (2, False),
                    (3, True), (3, False)}


def test_nothing_of_an_iteration_outlives_it(tmp_path):
    distiller = make_distiller(tmp_path, faster_rcnn(), faster_rcnn())
    loss_dict(distiller)
    # A tensor with a graph would refuse to be copied.
    twin = copy.deepcopy(distiller)

    assert set(loss_dict(twin)) == set(loss_dict(distiller))


def test_a_failed_iteration_leaves_nothing_behind(tmp_path):
    distiller = make_distiller(tmp_path, faster_rcnn(), faster_rcnn())
    head = distiller.roi_head.bbox_head.loss_bbox
    handle = head.register_forward_pre_hook(
        lambda module, args: (_ for _ in ()).throw(RuntimeError('stop')))
    with pytest.raises(RuntimeError, match='stop'):
        loss_dict(distiller)
    handle.remove()

    assert len(distilled(loss_dict(distiller))) == 2


def test_pseudo_random_numbers_are_those_of_plain_mmdet(tmp_path):
    """The distillation draws none, so that sampling stays the same."""
    distiller = make_distiller(tmp_path, faster_rcnn(), faster_rcnn())
    states = []
    for run in (distiller, distiller.student):
        data = distiller.data_preprocessor(detection_batch(), training=True)
        torch.manual_seed(0)
        run.loss(data['inputs'], data['data_samples'])
        states.append(torch.get_rng_state())

    assert torch.equal(*states)
