"""tools/analysis/landscape_steps: directions, slices, levels, progress."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from tests.helpers.training import equal_tensors
from tools.analysis.landscape_steps.directions import (
    at_home,
    filter_normalised,
    move,
)
from tools.analysis.landscape_steps.levels import shared_levels
from tools.analysis.landscape_steps.progress import Progress
from tools.analysis.landscape_steps.samples import annotations_first
from tools.analysis.landscape_steps.slices import grid, loss_slice, rise


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(),
        nn.Linear(12, 4), nn.LayerNorm((2, 2))).eval()


class Bowl(nn.Module):
    """Half the squared distance of its weights from zero, by row."""

    def __init__(self, *rows):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(rows))

    def loss(self):
        return float(self.weight.detach().double().square().sum()) / 2


def test_every_filter_is_as_long_as_the_weights(net):
    direction, = filter_normalised(net, 0, 1)

    assert list(direction) == ['0.weight', '3.weight']
    for name, each in direction.items():
        weight = net.get_parameter(name).detach()
        torch.testing.assert_close(
            each.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))
        assert each.shape == weight.shape


def test_only_weights_move_and_only_to_be_put_back(net):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    directions = filter_normalised(net, 0, 2)
    with pytest.raises(RuntimeError, match='stop'), at_home(net) as home:
        move(net, home, directions, (0.5, -0.25))
        moved = {name: value.clone()
                 for name, value in net.state_dict().items()}
        raise RuntimeError('stop')

    assert equal_tensors(dict(net.state_dict()), before)
    assert {name for name in before
            if not torch.equal(before[name], moved[name])} == set(
                directions[0])
    for name, first in directions[0].items():
        torch.testing.assert_close(
            moved[name],
            before[name] + 0.5 * first - 0.25 * directions[1][name])


def test_a_seed_is_a_noise_whatever_the_weights_are(net):
    first, second = filter_normalised(net, 3, 2)
    alone, = filter_normalised(net, 3, 1)
    other, = filter_normalised(net, 4, 1)
    with torch.no_grad():
        net[0].weight.mul_(torch.tensor([1., 2., 3.]).reshape(3, 1, 1, 1))
    longer, = filter_normalised(net, 3, 1)

    assert equal_tensors(first, alone)
    for name, each in first.items():
        assert not torch.equal(each, second[name])
        assert not torch.equal(each, other[name])
    for i in range(3):
        torch.testing.assert_close(longer['0.weight'][i],
                                   first['0.weight'][i] * (i + 1))


def test_a_filter_of_zeros_stays():
    direction, = filter_normalised(Bowl([0., 0.], [3., 4.]), 0, 1)

    assert direction['weight'][0].tolist() == [0., 0.]
    assert float(direction['weight'][1].norm()) == pytest.approx(5)


def test_the_slice_of_a_bowl_is_a_parabola():
    """|w + a d|^2 / 2 with |d| = |w|: w.d alone depends on the seed."""
    bowl = Bowl([3., 4., 0.], [0., 1., 2.])
    steps = grid(2.0, 5)
    directions = filter_normalised(bowl, 1, 2)
    weight = bowl.weight.detach().double()
    first, second = (each['weight'].double() for each in directions)
    expected = [[float((weight + x * first + y * second).square().sum()) / 2
                 for x in steps] for y in steps]
    calls = []
    line = loss_slice(bowl, Bowl.loss, steps, 1, 1)
    plane = loss_slice(bowl, Bowl.loss, steps, 2, 1, lambda: calls.append(1))

    np.testing.assert_allclose(plane, expected, rtol=1e-5)
    assert plane[2] == line and plane[2][2] == bowl.loss() == 15.0
    assert len(calls) == 25
    # w.d cancels between both signs: (a |d|)^2 / 2 is left.
    np.testing.assert_allclose(rise(steps, [line]), [15.0, 60.0], rtol=1e-5)


def test_the_rise_is_the_mean_of_all_directions():
    lines = [[3., 1., 0., 1., 5.], [5., 3., 2., 5., 3.]]

    assert rise(grid(1, 5), lines) == [(1 + 1 + 1 + 3) / 4,
                                       (3 + 5 + 3 + 1) / 4]
    lines[1][0] = None
    assert rise(grid(1, 5), lines) == [1.5, None]


def test_what_is_not_finite_is_no_number():
    values = iter([float('nan'), 1.0, float('inf')])
    assert loss_slice(Bowl([1.]), lambda model: next(values), grid(1, 3), 1,
                      0) == [None, 1.0, None]


def test_the_steps_have_the_middle():
    assert grid(0.3, 7)[3] == 0
    assert grid(0.3, 7)[0] == -0.3 and grid(0.3, 7)[-1] == 0.3


def test_the_levels_are_those_of_all_planes():
    near, far = dict(loss=[[1., 2.]]), dict(loss=[[3., None]])
    even = shared_levels([near, far])
    wide = shared_levels([near, dict(loss=[[100., 5.]])])
    flat = shared_levels([dict(loss=[[2., 2.]])])

    np.testing.assert_allclose(even, np.linspace(1, 3, 15))
    np.testing.assert_allclose(wide, np.geomspace(1, 100, 15))
    assert np.all(np.diff(flat) > 0) and flat[0] == 2


def test_the_time_left_is_told():
    said, now = [], iter([0., 5., 11., 12., 80.])
    progress = Progress(4, said.append, clock=lambda: next(now))
    progress.label = 'plain'
    for _ in range(4):
        progress()

    assert said == [
        'plain: 2 of 4 points, 0 min 11 s passed, 0 min 11 s left',
        'plain: 4 of 4 points, 1 min 20 s passed, 0 min 00 s left']


def test_boxes_are_loaded_before_the_image_is_resized():
    load, boxes = dict(type='LoadImageFromFile'), dict(
        type='mmdet.LoadAnnotations', with_bbox=True)
    resize, pack = dict(type='mmdet.Resize'), dict(type='mmdet.PackDetInputs')
    dataset = Config(dict(pipeline=[load, resize, boxes, pack]))
    annotations_first(dataset)
    assert dataset.pipeline == [load, boxes, resize, pack]
    annotations_first(dataset)
    assert dataset.pipeline == [load, boxes, resize, pack]
