"""Batches with little or nothing to learn from."""
import pytest
import torch

from tests.helpers.batches import detection_batch
from tests.helpers.detectors import cascade_rcnn, faster_rcnn, mask_rcnn
from tests.helpers.distillers import NoProposals, make_distiller
from tests.helpers.training import distilled, loss_dict, train_steps

DETECTORS = {
    'faster': (faster_rcnn, faster_rcnn),
    'mask': (mask_rcnn, faster_rcnn),
    'cascade': (cascade_rcnn, cascade_rcnn),
}


def without_boxes(batch, indices):
    for i in indices:
        instances = batch['data_samples'][i].gt_instances
        batch['data_samples'][i].gt_instances = instances[:0]
    return batch


@pytest.mark.parametrize('empty', [[0], [0, 1]], ids=['one', 'all'])
@pytest.mark.parametrize('detector', DETECTORS)
def test_images_without_boxes_train_on(detector, empty, tmp_path):
    student, teacher = DETECTORS[detector]
    distiller = make_distiller(tmp_path, student(), teacher())
    batch = without_boxes(
        detection_batch(masks=detector == 'mask'), empty)
    for log in train_steps(distiller, 2, batch=batch):
        assert torch.stack(list(log.values())).isfinite().all()
    for value in distiller.state_dict().values():
        assert value.isfinite().all()


@pytest.mark.parametrize('detector', ['faster', 'cascade'])
def test_without_rois_every_stream_is_there_and_attached(detector, tmp_path):
    """So that a rank whose batch has no RoI stays in step with others."""
    student, teacher = DETECTORS[detector]
    distiller = make_distiller(tmp_path, student(), teacher())
    names = set(distilled(loss_dict(distiller)))
    distiller.rpn_head = distiller.student.rpn_head = NoProposals(
        distiller.rpn_head)
    batch = without_boxes(detection_batch(), [0, 1])
    losses = loss_dict(distiller, batch)
    total, _ = distiller.parse_losses(losses)

    found = distilled(losses)
    assert 'target.loss_deepkd' in {n[:18] for n in found}
    assert set(found) <= names
    for loss in found.values():
        assert float(loss.detach()) == 0
        assert loss.requires_grad
    assert set(total.streams) == {'task', 'target', 'non_target'}
    assert torch.isfinite(total)
    train_steps(distiller, 2, batch=batch)
