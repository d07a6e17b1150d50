"""A look at the teacher's logits that the training does not notice."""
import copy
import random

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, IterableDataset, SequentialSampler

from mmdeepkd.engine.teacher_sample import sample_teacher
from tests.helpers.classifiers import (
    CLASSES,
    Images,
    make_distiller,
    resnet,
)
from tests.helpers.detectors import cascade_rcnn, faster_rcnn
from tests.helpers.distillers import NoProposals
from tests.helpers.distillers import make_distiller as make_detector
from tests.helpers.training import Scenes, equal_tensors

from .teacher_samples import (
    DrawingImages,
    Rows,
    SomeBroken,
    TwoViews,
    ready,
    ready_detector,
)


@pytest.fixture
def distiller(tmp_path):
    return make_distiller(tmp_path, resnet(), resnet())


def sample(runner, size=100, loss=None):
    rows = Rows()
    model = getattr(runner.model, 'module', runner.model)
    images = sample_teacher(runner, loss or model.losses[0], size, rows)
    return images, rows


def teacher_logits(distiller, dataset, indices):
    """The teacher's logits of images, one by one."""
    found = []
    for index in indices:
        item = dataset[index]
        data = distiller.data_preprocessor(dict(
            inputs=item['inputs'][None], data_samples=[item['data_samples']]))
        found.append(distiller.teacher(data['inputs']))
    return torch.cat(found)


@pytest.mark.parametrize('workers', [0, 1])
def test_the_logits_are_the_teachers(workers, distiller):
    dataset = Images(images=6)
    images, rows = sample(ready(distiller, dataset, num_workers=workers))

    assert images == 6
    torch.testing.assert_close(
        rows.logits, teacher_logits(distiller, dataset, range(6)),
        rtol=1e-4, atol=1e-4)
    assert rows.target.tolist() == [
        int(sample.gt_label) for sample in dataset.batch['data_samples']]


@pytest.mark.parametrize('size, indices', [
    (1, [0]), (2, [0, 5]), (4, [0, 2, 5, 7]), (5, [0, 2, 5, 7]),
    (8, [0, 1, 2, 3, 5, 6, 7, 8]), (100, range(10)),
])
def test_whole_batches_evenly_spaced(size, indices, distiller):
    dataset = Images(images=10)
    images, rows = sample(ready(distiller, dataset), size)

    assert images == len(indices)
    torch.testing.assert_close(
        rows.logits, teacher_logits(distiller, dataset, indices),
        rtol=1e-4, atol=1e-4)


def test_a_batch_sampler_tells_the_size_of_the_batches(distiller):
    dataset = Images(images=9)
    batches = BatchSampler(SequentialSampler(dataset), 3, False)
    _, rows = sample(ready(distiller, dataset, batch_size=1,
                           batch_sampler=batches))

    assert [len(logits) for logits, _ in rows.batches] == [3, 3, 3]


def test_broken_images_are_left_out(distiller):
    dataset = SomeBroken(images=8)
    _, rows = sample(ready(distiller, dataset))

    assert len(rows.logits) == 4


def everything_random():
    return torch.rand(2).tolist(), np.random.rand(), random.random()


class Counting(torch.nn.Module):
    """A part of a student that counts, and replaces its count."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.register_buffer('count', torch.zeros(()))
        self.register_buffer('total', torch.zeros(()))

    def forward(self, x):
        assert not self.training and not torch.is_grad_enabled()
        self.count = self.count + 1
        self.total += torch.rand(())
        return self.inner(x)


def test_model_and_random_states_are_as_they_were(distiller):
    distiller.neck = Counting(distiller.neck)
    runner = ready(distiller, DrawingImages(images=6))
    # As a student with frozen stages has it.
    distiller.backbone.layer1.eval()
    before = copy.deepcopy(distiller.state_dict())
    flags = {name: m.training for name, m in distiller.named_modules()}
    buffer = distiller.neck.count
    torch.manual_seed(3)
    first = everything_random()
    torch.manual_seed(3)
    numbers = np.random.get_state(), random.getstate()

    sample(runner)

    np_state, python_state = np.random.get_state(), random.getstate()
    assert python_state == numbers[1]
    assert all(np.array_equal(a, b) for a, b in zip(np_state, numbers[0]))
    assert torch.rand(2).tolist() == first[0]
    assert equal_tensors(before, distiller.state_dict())
    assert distiller.neck.count is buffer
    assert flags == {n: m.training for n, m in distiller.named_modules()}
    assert set(flags.values()) == {True, False}
    assert distiller.student.training and not distiller.teacher.training
    assert all(p.grad is None for p in distiller.parameters())
    assert not distiller.losses[0]._forward_hooks


def test_the_student_itself_is_in_eval_mode_meanwhile(distiller):
    """It is no child of the distiller."""
    modes = []
    sample_teacher(ready(distiller, Images(images=4)), distiller.losses[0], 4,
                   lambda *_: modes.append(distiller.student.training))

    assert modes == [False, False] and distiller.student.training


def test_an_error_leaves_nothing_behind(distiller):
    dataset = Images(images=4)
    dataset.batch['data_samples'][3].set_gt_label(CLASSES)
    with pytest.raises(ValueError, match='has the label 5'):
        sample(ready(distiller, dataset))

    assert distiller.training and distiller.backbone.training
    assert not distiller.losses[0]._forward_hooks


def test_both_views_are_looked_at(tmp_path):
    student = resnet(pixels=dict(type='mmdeepkd.TwoViewDataPreprocessor'))
    distiller = make_distiller(tmp_path, student, resnet(), losses=dict(
        type='mmdeepkd.MLKDLoss', base='kd'))
    _, rows = sample(ready(distiller, TwoViews(images=4)))

    assert [len(logits) for logits, _ in rows.batches] == [2, 2, 2, 2]
    first, second = rows.batches[:2]
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], second[0])


@pytest.mark.parametrize('model, stages', [(faster_rcnn, 1),
                                           (cascade_rcnn, 3)])
def test_of_a_detector_the_rois_and_their_background(model, stages, tmp_path):
    distiller = make_detector(tmp_path, model(), model())
    _, rows = sample(ready_detector(distiller, Scenes(images=4)))

    assert len(rows.batches) == 2 * stages
    assert rows.logits.shape == (len(rows.target), 4)
    # Boxes of the images themselves are RoIs too.
    assert {3} < set(rows.target.tolist())


def test_of_a_loss_on_the_foreground_its_rows(tmp_path):
    distiller = make_detector(
        tmp_path, faster_rcnn(), faster_rcnn(), losses=dict(
            type='mmdeepkd.ForegroundLoss',
            loss=dict(type='mmdeepkd.DeepKDLoss')))
    _, rows = sample(ready_detector(distiller, Scenes(images=4)),
                     loss=distiller.losses[0].loss)

    assert len(rows.target) and 3 not in rows.target.tolist()


def test_without_rois_there_is_nothing_to_see(tmp_path):
    distiller = make_detector(tmp_path, faster_rcnn(), faster_rcnn())
    distiller.rpn_head = distiller.student.rpn_head = NoProposals(
        distiller.rpn_head)
    scenes = Scenes(images=4)
    for scene in scenes.batch['data_samples']:
        scene.gt_instances = scene.gt_instances[:0]
    images, rows = sample(ready_detector(distiller, scenes))

    assert images == 4 and rows.logits.shape == (0, 4)


def test_rows_of_weight_zero_are_left_out(distiller):
    """By name or by position, as a distiller of one's own may call a loss."""
    loss = distiller.losses[0]
    logits, target = torch.randn(3, CLASSES), torch.tensor([0, 1, 2])
    weight = torch.tensor([1., 0., 0.5])
    calls = [lambda: loss(logits, logits, target, weight),
             lambda: loss(target=target, weight=weight,
                          logits_student=logits, logits_teacher=logits)]
    for call in calls:
        distiller.loss = lambda inputs, data_samples, call=call: call()
        _, rows = sample(ready(distiller, Images(images=2)))
        assert torch.equal(rows.logits, logits[[0, 2]])
        assert rows.target.tolist() == [0, 2]


class Stream(IterableDataset):

    def __iter__(self):
        return iter(Images(images=2))


@pytest.mark.parametrize('dataset', [Stream()], ids=['stream'])
def test_data_without_an_index_are_refused(dataset, distiller):
    with pytest.raises(ValueError, match='Stream gives none by index: set '
                       'static_k and phases'):
        sample(ready(distiller, dataset))
