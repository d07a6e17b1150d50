"""What image sets hold: trained through or refused, never NaN."""
import copy

import pytest
import torch

from tests.helpers.classifier_runs import classifier_steps
from tests.helpers.classifiers import (
    CLASSES,
    image_batch,
    labelled,
    make_distiller,
    resnet,
)
from tests.helpers.training import distilled

LOSSES = [
    dict(type='mmdeepkd.KDLoss'),
    dict(type='mmdeepkd.DKDLoss'),
    dict(type='mmdeepkd.DeepKDLoss', topk=1),
    dict(type='mmdeepkd.DeepKDLoss', base='dkd', standardize=True),
    dict(type='mmdeepkd.GDKDLoss', k=2),
    dict(type='mmdeepkd.DISTLoss'),
]
TWO_VIEWS = [dict(type='mmdeepkd.MLKDLoss'), dict(type='mmdeepkd.CRLDLoss')]


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """Return a distiller with every loss of one view."""
    return make_distiller(
        tmp_path_factory.mktemp('built'), resnet(), resnet(width=6),
        losses=LOSSES)


@pytest.fixture(scope='module')
def two_views(tmp_path_factory):
    """Return a distiller with every loss of two views."""
    student = resnet(pixels=dict(type='mmdeepkd.TwoViewDataPreprocessor'))
    return make_distiller(
        tmp_path_factory.mktemp('views'), student, resnet(width=6),
        losses=TWO_VIEWS)


def plain(value, images=4):
    """Return a batch of images without any content."""
    batch = image_batch(images=images)
    batch['inputs'].fill_(value)
    return batch


def with_label(label, index=2, **kwargs):
    """Return a batch, one of whose images has another label."""
    batch = image_batch(**kwargs)
    batch['data_samples'][index] = labelled(label, (32, 32))
    return batch


def of_one_class():
    batch = image_batch()
    batch['data_samples'] = [labelled(3, (32, 32)) for _ in range(4)]
    return batch


def with_channels(count):
    batch = image_batch()
    batch['inputs'] = batch['inputs'][:, [0, 1, 2, 0][:count]]
    return batch


TRAINED = {
    'one image': image_batch(images=1, size=64),
    'two images': image_batch(images=2),
    'images of eight pixels': image_batch(size=8),
    'images of one pixel': image_batch(size=1),
    'black images': plain(0),
    'white images': plain(255),
    'images that are one': plain(100, images=2),
    'one class only': of_one_class(),
    'one channel': with_channels(1),
}
LABEL = ('the image number 2 of a batch has the label {}, the classifier the '
         'classes 0 to 4: set num_classes')
REFUSED = {
    'a label above': (with_label(CLASSES), ValueError, LABEL.format(5)),
    'the label for ignored pixels': (with_label(255), ValueError,
                                     LABEL.format(255)),
    'a label below': (with_label(-1), ValueError, LABEL.format(-1)),
    'one image of one value': (
        image_batch(images=1, size=32), ValueError,
        'a BatchNorm of the student got a single value .*: set '
        'drop_last=True in train_dataloader'),
    'four channels': (with_channels(4), RuntimeError,
                      r'size of tensor a \(4\) must match .* \(3\)'),
}


def assert_trains(distiller, batch):
    """Take two steps; losses and weights are finite, and the net moves."""
    before = copy.deepcopy(distiller.state_dict())
    logs = classifier_steps(distiller, 2, batch=batch)

    after = distiller.state_dict()
    for log in logs:
        assert torch.stack(list(log.values())).isfinite().all()
    assert all(value.isfinite().all() for value in after.values())
    assert not torch.equal(after['head.fc.bias'], before['head.fc.bias'])
    return logs[0]


@pytest.mark.parametrize('case', TRAINED)
def test_trained_through(case, built):
    log = assert_trains(copy.deepcopy(built), TRAINED[case])

    assert len(distilled(log)) == 10


@pytest.mark.parametrize('case', TRAINED)
def test_two_views_are_trained_through(case, two_views):
    batch = TRAINED[case]
    views = [batch['inputs'], batch['inputs'].flip(-1)]

    assert_trains(copy.deepcopy(two_views), dict(batch, inputs=views))


@pytest.mark.parametrize('case', REFUSED)
def test_refused(case, built):
    batch, error, message = REFUSED[case]

    with pytest.raises(error, match=message):
        classifier_steps(copy.deepcopy(built), batch=batch)


def test_an_image_of_a_file_is_named(built):
    batch = with_label(7)
    batch['data_samples'][2].set_metainfo(dict(img_path='cats/3.jpg'))

    with pytest.raises(ValueError, match=r'the image cats/3\.jpg has the'):
        classifier_steps(copy.deepcopy(built), batch=batch)


def test_two_classes_have_nothing_beside_the_target(tmp_path, warnings):
    distiller = make_distiller(
        tmp_path, resnet(2), resnet(2, width=6), losses=LOSSES)

    log = assert_trains(distiller, image_batch(num_classes=2))
    assert log['non_target.loss_dkd'] == 0
    assert log['target.loss_dkd'] > 0
    # Once, of the losses that have a target, not of KD, GDKD and DIST.
    warning, = [text for text in warnings if 'of two logits' in text]
    assert warning.startswith('DKDLoss, DeepKDLoss, DeepKDLoss: ')


def test_three_classes_are_nothing_to_warn_of(tmp_path, warnings):
    make_distiller(tmp_path, resnet(3), resnet(3), losses=LOSSES)

    assert not [text for text in warnings if 'logits' in text]


@pytest.mark.parametrize('loss', ['KDLoss', 'DeepKDLoss', 'GDKDLoss'])
def test_one_class_is_nothing_to_distil(loss, tmp_path):
    with pytest.raises(ValueError, match=(
            'student and teacher have 1 logit, of which a softmax is '
            'constant, .*: give both num_classes=2')):
        make_distiller(
            tmp_path, resnet(1), resnet(1),
            losses=dict(type=f'mmdeepkd.{loss}'))


def test_pixels_that_are_nan_stop_the_run(built):
    batch = image_batch()
    batch['inputs'] = batch['inputs'].float()
    batch['inputs'][1, 0, 3, 3] = float('nan')

    with pytest.raises(FloatingPointError, match=(
            r'the loss loss_cls \(stream task\) is nan')):
        classifier_steps(copy.deepcopy(built), batch=batch)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_broken_teacher_is_named_by_its_loss(value, tmp_path):
    """Such as one whose own training diverged."""
    distiller = make_distiller(
        tmp_path, resnet(), resnet(), losses=LOSSES[:2])
    distiller.teacher.head.fc.bias.fill_(value)
    before = [p.clone() for p in distiller.parameters()]

    with pytest.raises(FloatingPointError, match=(
            r'the loss distill\.loss_kd \(stream distill\) is nan')):
        classifier_steps(distiller)
    assert all(map(torch.equal, distiller.parameters(), before))
