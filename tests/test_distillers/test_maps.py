"""Maps are recorded and measured, and the model is left as it was."""
import copy

import pytest
import torch
from torch import nn

from mmdeepkd.distillers import (
    MapInfo,
    maps_of,
    probe_maps,
    record_output,
)
from tests.helpers.training import equal_tensors


class Stages(nn.Module):
    """Two maps and a vector; some of it has a mode of its own."""

    def __init__(self, in_channels=3):
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(in_channels, 4, 3, stride=2, padding=1),
            nn.BatchNorm2d(4))
        self.second = nn.Sequential(
            nn.Conv2d(4, 6, 3, stride=4, padding=1), nn.Dropout())

    def train(self, mode=True):
        super().train(mode)
        self.first.eval()
        # As LeViT, which keeps its attention biases for eval mode.
        self.kept = None if mode else 0.
        return self

    def forward(self, inputs):
        first = self.first(inputs)
        if not self.training:
            first = first + self.kept
        second = self.second(first)
        return first, second, second.mean((2, 3))


@pytest.mark.parametrize('in_channels', [1, 3])
def test_channels_and_strides(in_channels):
    stages = Stages(in_channels)

    assert probe_maps(stages, stages, 32) == [
        MapInfo(4, 2.), MapInfo(6, 8.), MapInfo(0, None)]
    assert probe_maps(lambda x: stages(x)[1], stages, 32) == [MapInfo(6, 8.)]


def test_measuring_changes_nothing():
    stages = Stages().double().train()
    before = copy.deepcopy(stages.state_dict())
    stages.second[1].eval()
    modes = [m.training for m in stages.modules()]
    seen = []
    stages.register_forward_hook(lambda module, args, output: seen.append(
        (args[0].dtype, output[0].requires_grad, module.second.training)))
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    probe_maps(lambda x: stages(x + torch.rand(1)), stages, 16)

    assert seen == [(torch.float64, False, False)]
    assert torch.equal(torch.rand(1), expected)
    assert [m.training for m in stages.modules()] == modes
    assert stages.second.training and not stages.second[1].training
    assert stages.kept is None
    assert equal_tensors(stages.state_dict(), before)


def test_modes_are_restored_after_an_error():
    stages = Stages().train()
    with pytest.raises(ZeroDivisionError):
        probe_maps(lambda x: 1 / 0, stages, 16)
    with pytest.raises(RuntimeError):
        probe_maps(lambda x: stages(x[:, :1]), stages, 16)

    assert stages.second.training and not stages.first.training


@pytest.mark.parametrize('kind', [AssertionError, RuntimeError, ValueError])
def test_a_model_that_cannot_be_measured(kind):
    error = kind('no kernel for this device\n')

    def run(image):
        raise error

    with pytest.raises(RuntimeError, match=(
            r'^the neck of the student failed on a black image \(1, 3, 16, '
            r"16\) on the device 'cpu', which measures its maps while the "
            r'distiller is built \(no kernel for this device\): replace the '
            'layers that need a GPU or another size, or remove the losses on '
            'maps.$')) as caught:
        probe_maps(run, Stages(), 16, what='neck of the student')

    assert caught.value.__cause__ is error


def test_outputs_are_recorded_inside_alone():
    stages = Stages().eval()
    images = torch.randn(2, 3, 16, 16)
    with record_output(stages) as outputs:
        expected = stages(images)
    stages(images)

    assert len(outputs) == 1 and not stages._forward_hooks
    for found, value in zip(maps_of(outputs, 'backbone'), expected):
        assert found is value
    # A graph could not be copied.
    copy.deepcopy(stages)


def test_the_hook_goes_after_an_error():
    stages = Stages()
    with pytest.raises(RuntimeError), record_output(stages):
        stages(torch.randn(2, 5, 16, 16))

    assert not stages._forward_hooks


def test_one_map_is_a_tuple_too():
    tensor = torch.randn(1)

    assert maps_of([tensor], 'neck') == (tensor, )
    assert maps_of([[tensor]], 'neck') == (tensor, )


@pytest.mark.parametrize('calls', [0, 2])
def test_the_model_must_run_once(calls):
    with pytest.raises(TypeError, match=(
            f'the neck of the student ran {calls} times in its loss, so that '
            'its maps are unknown: use a model whose loss runs it once, or a '
            'loss on logits')):
        maps_of([torch.randn(1)] * calls, 'neck of the student')
