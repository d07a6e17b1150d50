"""The backbones as such; their logits are in test_convert_teacher."""
import math

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmdeepkd.classification import (
    CifarMobileNetV2,
    CifarResNet,
    CifarShuffleNetV1,
    CifarVGG,
    CifarWRN,
    MobileNetV1,
)
from mmdeepkd.classification.backbones import (
    published_model,
    published_networks,
)
from mmdeepkd.classification.backbones.layers import shuffle_channels
from tests.helpers.classifiers import build_classifier
from tests.helpers.processes import ROOT, run_python

# Height of the feature map of a 16x16 image.
HEIGHTS = dict(
    CifarResNet=4, CifarWRN=4, CifarVGG=2, ResNet_CIFAR=2,
    CifarMobileNetV2=1, CifarShuffleNetV1=2, CifarShuffleNetV2=2,
    MobileNetV1=1)
CONFIGS = sorted((ROOT / 'configs' / '_base_').glob('cifar100_models/*.py'))
# The backbones need MMEngine and torch only.
WITHOUT_MMPRETRAIN = """
import sys
for name in ('mmpretrain', 'mmdet', 'mmcv'):
    sys.modules[name] = None
import torch
from mmengine.registry import MODELS
net = MODELS.build(dict(type='mmdeepkd.CifarResNet', depth=8))
assert net(torch.zeros(1, 3, 8, 8))[0].shape == (1, 64, 2, 2)
"""


@pytest.mark.parametrize('arch', published_networks())
def test_training_reaches_every_parameter(arch):
    config = published_model(arch, num_classes=7)
    torch.manual_seed(0)
    model = build_classifier(config)
    images = torch.randn(2, 3, 16, 16)
    maps = model.backbone(images)
    width = config['head']['in_channels']
    height = HEIGHTS[type(model.backbone).__name__]

    assert isinstance(maps, tuple) and len(maps) == 1
    assert maps[0].shape == (2, width, height, height)
    # Of mmpretrain's own the name is another.
    assert width == getattr(model.backbone, 'out_channels', width)
    logits = model(images, mode='tensor')
    assert logits.shape == (2, 7)
    logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize('channels', [3, 1])
def test_a_small_resnet(channels):
    net = CifarResNet(
        depth=8, channels=(8, 8, 16, 32), in_channels=channels)

    assert net.out_channels == 32
    assert net(torch.randn(2, channels, 8, 16))[0].shape == (2, 32, 2, 4)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_has_the_published_network(path):
    names = {name.lower(): name for name in published_networks()}
    model = Config.fromfile(path).model.to_dict()
    model['head']['loss'].pop('loss_weight', None)

    assert model == published_model(names[path.stem])


def test_there_are_configs():
    assert len(CONFIGS) >= 14


def weights(net, layer):
    net.init_weights()
    return dict((name, module) for name, module in net.named_modules()
                if isinstance(module, layer))


@pytest.mark.parametrize('build', [
    lambda: CifarResNet(8, (32, 64, 128, 256)), lambda: CifarWRN(16, 2),
    lambda: CifarVGG(8), CifarMobileNetV2,
    lambda: build_classifier(published_model('ResNet50')).backbone
], ids=['resnet', 'wrn', 'vgg', 'mobilenetv2', 'resnet50'])
def test_the_published_initialisation(build):
    torch.manual_seed(0)
    net = build()
    for name, conv in weights(net, nn.Conv2d).items():
        if conv.weight.numel() < 4000:
            continue
        fan_out = conv.out_channels * math.prod(conv.kernel_size)
        assert conv.weight.std().item() == pytest.approx(
            math.sqrt(2 / fan_out), rel=0.06), name
        assert conv.bias is None or not conv.bias.any(), name
    for name, norm in weights(net, nn.BatchNorm2d).items():
        assert (norm.weight == 1).all() and not norm.bias.any(), name


@pytest.mark.parametrize('build', [CifarShuffleNetV1, MobileNetV1])
def test_initialisation_by_torch_where_it_is_published_so(build):
    torch.manual_seed(0)
    net = build()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.init_weights()

    assert all(before[name].equal(value)
               for name, value in net.state_dict().items())


def test_an_initialisation_of_one_s_own():
    net = CifarVGG(8, dict(type='Constant', layer='Conv2d', val=3))

    assert all((conv.weight == 3).all()
               for conv in weights(net, nn.Conv2d).values())


@pytest.mark.parametrize('build, message', [
    (lambda: CifarResNet(9),
     r'CifarResNet with 3 stages has depth 2 \+ 6 n \(8, 14, \.\.\.\), got 9'),
    (lambda: CifarResNet(2), 'got 2'),
    (lambda: CifarResNet(20, (64, 64, 128, 256, 512)),
     r'with 4 stages has depth 2 \+ 8 n \(10, 18, \.\.\.\), got 20'),
    (lambda: CifarWRN(18),
     r'CifarWRN with 3 stages has depth 4 \+ 6 n \(10, 16, \.\.\.\), got 18'),
    (lambda: CifarVGG(12), 'has depth 8, 11, 13, 16 or 19, got 12'),
])
def test_a_depth_that_is_not_there(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_shuffling():
    x = torch.arange(6.).view(1, 6, 1, 1)

    assert shuffle_channels(x, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]


def test_without_mmpretrain(tmp_path):
    run_python(WITHOUT_MMPRETRAIN, cwd=tmp_path)
