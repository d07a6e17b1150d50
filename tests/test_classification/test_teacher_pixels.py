"""Both see the same pixels, each in its own format, after one augmentation."""
import copy

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.testing import assert_close

from tests.helpers.classifier_runs import classifier_losses
from tests.helpers.classifiers import (
    BGR,
    MIXING,
    RGB,
    build_classifier,
    distiller_config,
    image_batch,
    labelled,
    make_distiller,
    resnet,
    timm_net,
    write_teacher,
)
from tests.helpers.training import distilled

LOSSES = [
    dict(type='mmdeepkd.KDLoss', temperature=1.),
    dict(type='mmdeepkd.DKDLoss', temperature=1.),
    dict(type='mmdeepkd.DeepKDLoss', base='kd', standardize=True),
    dict(type='mmdeepkd.DeepKDLoss', base='dkd', topk=2),
]
AUGMENTS = {
    'mixup': MIXING['augments'][0],
    'cutmix': MIXING['augments'][1],
}
KD = dict(type='mmdeepkd.KDLoss')


def seen_by(model):
    """Collect what the first layer of a classifier gets."""
    inputs = []
    model.backbone.register_forward_pre_hook(
        lambda module, args: inputs.append(args[0]))
    return inputs


def prepared(model, batch, seed=0):
    """What the preprocessor of a model makes of a batch."""
    np.random.seed(seed)
    torch.manual_seed(seed)
    return model.data_preprocessor(copy.deepcopy(batch), training=True)


def test_every_distillation_loss_is_zero_of_equal_weights(tmp_path):
    # In training mode batch statistics would differ from the teacher's.
    model = resnet(norm_eval=True)
    other = resnet(norm_eval=True, pixels=BGR)
    distiller = make_distiller(tmp_path, model, other, losses=LOSSES)
    with torch.no_grad():
        distiller.teacher.head.fc.weight.mul_(30)
    distiller.train()
    before = distilled(classifier_losses(distiller))
    distiller.load_state_dict(distiller.teacher.state_dict())
    # Of equal weights, but different pixels.
    unequal = distilled(classifier_losses(distiller))
    distiller._pixel_formats = (distiller._pixel_formats[0], ) * 2
    after = distilled(classifier_losses(distiller))

    assert len(after) == 7
    assert min(before.values()) > 1e-4
    assert max(unequal.values()) > 1e-4
    for name, loss in after.items():
        assert abs(float(loss)) < 1e-6, name


@pytest.mark.parametrize('swapped', [False, True])
def test_the_teacher_sees_its_own_pixels(swapped, tmp_path):
    """Its logits are those it computes alone, from its own preprocessor."""
    student, teacher = resnet(), resnet(width=6)
    (student if swapped else teacher)['data_preprocessor'].update(BGR)
    distiller = make_distiller(tmp_path, student, teacher, losses=KD)
    logits = []
    distiller.teacher.head.register_forward_hook(
        lambda module, args, out: logits.append(out))
    batch = image_batch()
    classifier_losses(distiller, batch)
    alone = prepared(distiller.teacher, batch)
    with torch.no_grad():
        distiller.teacher(alone['inputs'])

    assert logits[1].std() > 1e-3
    assert_close(logits[0], logits[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('augment', AUGMENTS)
def test_mixed_batches_equal_the_teachers_own_mixing(augment, tmp_path):
    """With the same permutation and ratio: a blend of pixels is affine."""
    mixing = dict(augments=[AUGMENTS[augment]])
    distiller = make_distiller(
        tmp_path, resnet(train_cfg=mixing),
        resnet(width=6, pixels=BGR), losses=KD)
    seen = seen_by(distiller.teacher)
    batch = image_batch(images=6)
    data = prepared(distiller, batch)
    distiller(**data, mode='loss')
    teacher = build_classifier(
        resnet(width=6, pixels=BGR, train_cfg=mixing))
    alone = prepared(teacher, batch)

    scores = torch.stack([s.gt_score for s in data['data_samples']])
    assert ((scores > 0).sum(1) == 2).any()
    assert_close(seen[0], alone['inputs'], rtol=1e-4, atol=1e-3)
    plain = image_batch(images=6)['inputs'].float()
    assert not torch.allclose(
        alone['inputs'] * torch.tensor([1., 2., 3.]).view(3, 1, 1) +
        torch.tensor([103., 116., 123.]).view(3, 1, 1), plain, atol=1e-2)


def test_mixing_runs_once(tmp_path):
    distiller = make_distiller(
        tmp_path, resnet(train_cfg=MIXING), resnet(train_cfg=MIXING),
        losses=KD)
    own, taught = seen_by(distiller), seen_by(distiller.teacher)
    classifier_losses(distiller)

    # Equal formats: the very same tensor.
    assert taught[0] is own[0]


def test_padding_gets_the_teachers_value(tmp_path):
    student = resnet(pixels=dict(pad_size_divisor=32, pad_value=5))
    teacher = resnet(width=6, pixels=dict(
        BGR, pad_size_divisor=48, pad_value=-2))
    distiller = make_distiller(tmp_path, student, teacher, losses=KD)
    seen = seen_by(distiller.teacher)
    sizes = [(40, 50), (33, 60)]
    images = pseudo_collate([
        dict(inputs=torch.randint(0, 256, (3, *size), dtype=torch.uint8),
             data_samples=labelled(0, size)) for size in sizes])
    classifier_losses(distiller, images)

    teacher_alone = prepared(distiller.teacher, images)['inputs']
    # The batch grows to a multiple of both divisors.
    assert seen[0].shape[-2:] == (96, 96)
    height, width = teacher_alone.shape[-2:]
    assert_close(seen[0][..., :height, :width], teacher_alone,
                 rtol=1e-4, atol=1e-3)
    assert (seen[0][..., height:, :] == -2).all()


def test_a_stale_img_shape_is_not_believed(tmp_path):
    """Not every transform keeps it up to date; nothing is padded here."""
    distiller = make_distiller(
        tmp_path, resnet(), resnet(pixels=BGR), losses=KD)
    seen = seen_by(distiller.teacher)
    batch = image_batch()
    for sample in batch['data_samples']:
        sample.set_metainfo(dict(img_shape=(20, 500)))
    classifier_losses(distiller, batch)

    assert_close(seen[0], prepared(distiller.teacher, batch)['inputs'],
                 rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize('pixels', [RGB, BGR])
def test_each_view_in_the_teachers_pixels(pixels, tmp_path):
    """A file's img_shape, which both views leave, is that of neither."""
    student = resnet(pixels=dict(type='mmdeepkd.TwoViewDataPreprocessor'))
    distiller = make_distiller(
        tmp_path, student, resnet(pixels=pixels),
        losses=dict(type='mmdeepkd.MLKDLoss'))
    seen = seen_by(distiller.teacher)
    weak, strong = image_batch(images=2), image_batch(seed=1, images=2)
    # The largest are as large as the view.
    for sample, shape in zip(weak['data_samples'], [(32, 20), (20, 32)]):
        sample.set_metainfo(dict(img_shape=shape))
    classifier_losses(
        distiller, dict(weak, inputs=[weak['inputs'], strong['inputs']]))
    alone = build_classifier(resnet(pixels=pixels))

    assert len(seen) == 2
    for inputs, view in zip(seen, (weak, strong)):
        assert_close(inputs, prepared(alone, view)['inputs'],
                     rtol=1e-4, atol=1e-3)


def test_a_teachers_augmentations_are_left_out(tmp_path):
    student = resnet(pixels=dict(type='mmdeepkd.TwoViewDataPreprocessor'))
    teacher = resnet(train_cfg=MIXING)
    teacher.pop('data_preprocessor')
    distiller = make_distiller(
        tmp_path, student, teacher, losses=dict(type='mmdeepkd.MLKDLoss'))

    assert distiller.teacher.data_preprocessor.batch_augments is None


@pytest.mark.parametrize('teacher', [resnet, timm_net])
def test_a_teacher_without_preprocessor_reads_the_students(teacher, tmp_path):
    config = teacher()
    config.pop('data_preprocessor')
    given = dict(
        type='mmpretrain.ClsDataPreprocessor', mean=[1.], std=[2.],
        num_classes=5)
    student = resnet()
    for own in (True, False):
        if not own:
            student.pop('data_preprocessor')
        distiller = make_distiller(
            tmp_path, student, config, losses=KD, data_preprocessor=given)
        means = [m.data_preprocessor.mean.flatten().tolist()
                 for m in (distiller, distiller.teacher)]
        assert means[0] == means[1] == ([120., 115., 100.] if own else [1.])
        assert 'type' not in config.get('data_preprocessor', {})


def test_models_from_files_have_the_preprocessors_beside_them(tmp_path):
    paths = {}
    for role, pixels in (('student', RGB), ('teacher', BGR)):
        model = resnet()
        model.pop('data_preprocessor')
        paths[role] = tmp_path / f'{role}.py'
        paths[role].write_text(
            f"default_scope = 'mmpretrain'\nmodel = {model}\n"
            f'data_preprocessor = {pixels}\n')
    distiller = build_classifier(distiller_config(
        str(paths['student']), paths['teacher'],
        write_teacher(resnet(), tmp_path / 'teacher.pth'), losses=KD))

    for model, pixels in ((distiller, RGB), (distiller.teacher, BGR)):
        preprocessor = model.data_preprocessor
        assert preprocessor.mean.flatten().tolist() == pixels['mean']
        assert preprocessor.to_rgb is pixels['to_rgb']


def test_pixels_that_are_not_normalised(tmp_path):
    raw = resnet(pixels=dict(mean=None, std=None, to_rgb=False))
    distiller = make_distiller(tmp_path, raw, resnet(), losses=KD)
    seen = seen_by(distiller.teacher)
    batch = image_batch()
    classifier_losses(distiller, batch)

    assert_close(seen[0], prepared(distiller.teacher, batch)['inputs'],
                 rtol=1e-4, atol=1e-4)
