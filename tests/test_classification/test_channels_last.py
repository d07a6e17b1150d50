"""A classifier that trains in channels_last is the same student."""
import copy

import pytest
import torch

from mmdeepkd.engine import DistillRunner
from tests.helpers.classifier_runs import train_classifier
from tests.helpers.classifiers import (
    build_classifier,
    distiller_config,
    image_batch,
    make_distiller,
    resnet,
    timm_net,
    write_teacher,
)
from tests.helpers.training import equal_tensors, sgd_wrapper

WRAPPER = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-3),
    delta=0.05)


def formats(tensors):
    """Whether each tensor that can be in the format is."""
    return [t.is_contiguous(memory_format=torch.channels_last)
            for t in tensors if t.dim() == 4 and not t.is_contiguous()]


def train(distiller, steps):
    """Train in float64; return the losses of the last step."""
    distiller.train().double()
    wrapper = sgd_wrapper(distiller)
    for seed in range(steps):
        data = distiller.data_preprocessor(image_batch(seed=seed), True)
        data['inputs'] = data['inputs'].double()
        total, log = distiller.parse_losses(distiller(**data, mode='loss'))
        wrapper.update_params(total)
    return log, wrapper


@pytest.mark.parametrize('steps, tolerance', [(1, 1e-12), (3, 1e-9)])
@pytest.mark.parametrize('student', [resnet, timm_net])
def test_training_is_the_same_but_for_rounding(student, steps, tolerance,
                                               tmp_path):
    fast, plain = (make_distiller(tmp_path, student(), resnet(), **kwargs)
                   for kwargs in (dict(channels_last=True), {}))
    assert equal_tensors(fast.state_dict(), plain.state_dict())
    found, wrapper = train(fast, steps)
    expected, _ = train(plain, steps)

    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=tolerance,
                                   atol=1e-12)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(fast.state_dict()[name], value,
                                   rtol=100 * tolerance,
                                   atol=10 * tolerance)
    weights = formats(fast.parameters())
    assert weights and all(weights) and not formats(plain.parameters())
    buffers = [b for state in wrapper.optimizer.state.values()
               for b in state.values() if isinstance(b, torch.Tensor)]
    assert all(formats(buffers))


def test_the_maps_of_the_student_are_channels_last(tmp_path):
    distiller = make_distiller(tmp_path, resnet(), resnet(),
                               channels_last=True)
    seen = {}
    for name in ('student', 'teacher'):
        model = getattr(distiller, name)
        model.backbone.register_forward_pre_hook(
            lambda module, args, name=name: seen.setdefault(name, []).append(
                args[0].is_contiguous()))
        model.backbone.layer1.register_forward_hook(
            lambda module, args, output, name=name: seen[name].append(
                output.is_contiguous()))
    data = distiller.data_preprocessor(image_batch())
    distiller(**data, mode='loss')

    # The teacher has a format of its own.
    assert seen == dict(student=[False, False], teacher=[True, True])


def run(config, folder, epochs, **kwargs):
    return train_classifier(
        config, WRAPPER, folder, runner_class=DistillRunner,
        images=dict(images=4), custom_hooks=[dict(type='EMAHook')],
        train_cfg=dict(by_epoch=True, max_epochs=epochs), **kwargs)


def test_files_ema_and_resuming(tmp_path):
    config = distiller_config(
        resnet(), resnet(), write_teacher(resnet(), tmp_path / 'teacher.pth'),
        channels_last=True)
    _, straight = run(copy.deepcopy(config), tmp_path / 'a', 2)
    runner, again = run(
        copy.deepcopy(config), tmp_path / 'b', 2, resume=True, seed=5,
        load_from=str(tmp_path / 'a' / 'epoch_1.pth'))
    first, second = (torch.load(tmp_path / folder / 'epoch_2.pth',
                                weights_only=True) for folder in 'ab')

    assert again == straight[2:]
    for key in ('state_dict', 'ema_state_dict'):
        assert equal_tensors(first[key], second[key])
    ema = next(h for h in runner.hooks if type(h).__name__ == 'EMAHook')
    assert all(formats(ema.ema_model.parameters()))
    assert all(formats(runner.model.parameters()))
    # A plain model is filled, and keeps its own format.
    plain = build_classifier(resnet())
    plain.load_state_dict(first['state_dict'], strict=True)
    assert formats(first['state_dict'].values())
    assert not formats(plain.parameters())
    runner.model.load_state_dict(plain.state_dict(), strict=True)
    assert formats(runner.model.parameters())
