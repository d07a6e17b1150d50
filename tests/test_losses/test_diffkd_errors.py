"""What DiffKD refuses: wrong options, shapes and dtypes."""
import pytest
import torch

from mmdeepkd.losses import DiffKDLogitsLoss, DiffKDLoss
from tests.helpers.diffkd import cases


@pytest.mark.parametrize(('loss', 'kwargs', 'message'), [
    (DiffKDLoss, dict(channels='third'), "channels is 'third' but must be"),
    (DiffKDLoss, dict(channels=0), 'channels is 0 but must be'),
    (DiffKDLoss, dict(channels=True), 'channels is True but must be'),
    (DiffKDLoss, dict(levels=[]), r'levels is \[\] but must be None or'),
    (DiffKDLoss, dict(levels=2), 'levels is 2 but must be None or'),
    (DiffKDLoss, dict(levels=[(0, 1, 2)]), 'levels is .* but must be None'),
    (DiffKDLoss, dict(levels=['p2']), 'levels is .* but must be None or'),
    (DiffKDLoss, dict(levels=(0, 1)),
     r'levels is \(0, 1\) but must be None or a list \(no tuple\) of '
     r'indices such as \[0, 1, -1\], or of pairs \(student, teacher\): '
     r'\[\(0, 1\)\] for one'),
    (DiffKDLoss, dict(align='both'), "align is 'both' but must be one of"),
    (DiffKDLoss, dict(num_steps=7), 'num_steps is 7 but must divide 500'),
    (DiffKDLoss, dict(loss_weight=-1.0), 'loss_weight is -1.0'),
    (DiffKDLoss, dict(diffusion_weight=-1.0), 'diffusion_weight is -1.0'),
    (DiffKDLoss, dict(autoencoder_weight=-1.0), 'autoencoder_weight is -1'),
    (DiffKDLoss, dict(diffusion_weight=0.0),
     "diffusion_weight is 0.0, so that with semantics='paper' nothing trains "
     'the diffusion model, which would stay at its random initialisation'),
    (DiffKDLogitsLoss, dict(diffusion_weight=0), 'diffusion_weight is 0, so'),
    (DiffKDLoss, dict(autoencoder_weight=0.0),
     'autoencoder_weight is 0.0, so that nothing trains the auto-encoder, '
     'which would stay at its random initialisation'),
    (DiffKDLoss, dict(autoencoder_weight=0.5, channels=None),
     'autoencoder_weight is 0.5 but channels=None leaves the auto-encoder '
     'out, so that there is nothing to weigh: leave'),
    (DiffKDLoss, dict(semantics='new'), "semantics is 'new' but must be"),
    (DiffKDLogitsLoss, dict(temperature=0.0), 'temperature is 0.0'),
    (DiffKDLogitsLoss, dict(num_steps=0), 'num_steps is 0'),
])
def test_wrong_options_are_refused(loss, kwargs, message):
    with pytest.raises(ValueError, match=f'^{message}'):
        loss(**kwargs)


def test_weights_of_0_that_harm_nothing():
    for loss in (DiffKDLoss, DiffKDLogitsLoss):
        loss(diffusion_weight=0.0, semantics='released')
        loss(loss_weight=0.0)
        loss(loss_weight=0.0, diffusion_weight=0.0)
    DiffKDLoss(loss_weight=0.0, diffusion_weight=0.0, autoencoder_weight=0.0)


def test_logits_of_one_class_are_refused():
    with pytest.raises(ValueError, match=(
            '^DiffKDLogitsLoss got a teacher of 1 class but needs at least '
            '2, .*: use DiffKDLoss on the maps.$')):
        DiffKDLogitsLoss().build_adapter(5, 1)


@pytest.mark.parametrize(('kind', 'shapes', 'message'), [
    ('maps', ((2, 4, 5), (2, 6, 5, 4)),
     r"maps of 'level1' have shape \(2, 4, 5\) in the student but must be "
     r'\(N, 4, H, W\), as when its adapter was built: choose'),
    ('maps', ((2, 4, 5, 4), (2, 5, 5, 4)),
     r"maps of 'level1' have shape \(2, 5, 5, 4\) in the teacher but must be "
     r'\(N, 6, H, W\)'),
    ('maps', ((2, 4, 5, 4), (3, 6, 5, 4)),
     r"maps of 'level1' have shape \(2, 4, 5, 4\) in the student and "
     r'\(3, 6, 5, 4\) in the teacher: give both the same samples'),
    ('logits', ((6, 5, 1, 1), (6, 5)),
     r"logits of 'level1' have shape \(6, 5, 1, 1\) in the student but must "
     r'be \(N, 5\), as'),
    ('logits', ((6, 5), (6, 7)), r'\(6, 7\) in the teacher but must be'),
])
def test_wrong_shapes_are_refused(kind, shapes, message):
    loss, adapter, *_ = cases()[kind]

    with pytest.raises(ValueError, match=message):
        loss(adapter, *map(torch.zeros, shapes), place='level1')


def test_labels_for_logits_are_refused():
    loss, adapter, student, teacher = cases()['logits']

    with pytest.raises(TypeError, match=(
            r"^the logits of 'logits' have dtype torch.int64 in the teacher "
            'but must be floating: pass the output of a layer')):
        loss(adapter, student, teacher.long(), place='logits')


def test_an_unknown_option_is_no_silent_one():
    with pytest.raises(TypeError, match='nmu_steps'):
        DiffKDLoss(nmu_steps=5)
