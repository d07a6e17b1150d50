"""One dense part of a teacher, made faster."""
from collections import OrderedDict

import pytest
import torch
from torch import nn

from mmdeepkd.distillers.speedup import (
    AcceleratedModule,
    Root,
    Speedup,
    accelerate,
    is_accelerated,
)
from tests.helpers.dense import OFF, Dense, Levels, accelerated, images


@pytest.mark.parametrize('speedup', [
    Speedup(), OFF._replace(channels_last=True), OFF._replace(fold_bn=True)],
    ids=['both', 'channels_last', 'fold_bn'])
def test_the_result_is_the_same_but_for_rounding(speedup):
    module, plain = accelerated(speedup).double(), Dense().double().eval()
    for seed in range(3):
        x = images(size=6 + seed, dtype=torch.float64)
        for a, b in zip(plain(x, scale=3), module(x, scale=3)):
            torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-12)

    formats = [contiguous for _, contiguous in module.seen]
    assert formats[-1] is not speedup.channels_last
    assert (type(module.bn) is nn.Identity) is speedup.fold_bn
    assert not any(m.training for m in module.modules())
    assert not any(p.requires_grad for p in module.parameters())


def test_what_was_done_is_logged_once(logged):
    module = accelerated(Speedup())
    module(images())
    module(images())

    assert len(logged) == 1
    assert logged[0].startswith(
        'teacher_speedup: backbone: 1 of 1 BatchNorms folded, channels_last, '
        'amp None; largest relative difference on the first batch ')
    assert float(logged[0].split()[-1].rstrip('.')) < 1e-5


@pytest.mark.parametrize('contiguous', [True, False])
def test_outputs_are_contiguous_where_that_is_needed(contiguous):
    maps = accelerated(Speedup(), contiguous=contiguous)(images()).low

    assert maps.is_contiguous() is contiguous
    assert maps.is_contiguous(memory_format=torch.channels_last) is (
        not contiguous)


def test_outputs_are_contiguous_without_a_convolution_too():
    """What scales its inputs gives them in the format that they have."""
    class Scale(nn.Module):

        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(6, 6)

        def forward(self, x):
            return x * 2, self.fc(x)

    maps = images().contiguous(memory_format=torch.channels_last)
    found, _ = accelerated(Speedup(amp='bf16'), Scale())(maps)

    assert found.is_contiguous() and torch.equal(found, maps * 2)


@pytest.mark.parametrize('outer', [False, True])
def test_autocast_is_inside_alone(outer, logged):
    plain = Dense().eval().requires_grad_(False)
    module = accelerated(Speedup(amp='bf16'))
    with torch.autocast('cpu', torch.bfloat16, enabled=outer):
        found = module(images())
    expected = plain(images())

    assert type(found) is Levels
    assert module.seen[-1][0] == torch.bfloat16
    for a, b in zip(expected, found):
        assert b.dtype == torch.float32
        difference = float((a - b).abs().max() / a.abs().max())
        assert 0 < difference < 0.03
    assert 'amp bf16' in logged[0]
    assert 1e-4 < float(logged[0].split()[-1].rstrip('.')) < 0.03


def test_without_amp_the_autocast_around_it_stays():
    module = accelerated(Speedup())
    with torch.autocast('cpu', torch.bfloat16):
        found, expected = module(images()), Dense().eval()(images())

    assert [t.dtype for t in found] == [t.dtype for t in expected]
    assert found.high.dtype == torch.bfloat16
    # Compared outside of it: with its rounding nothing would be equal.
    assert module.seen[0][0] == torch.float32


def test_float16_is_for_gpus():
    with pytest.raises(ValueError, match=(
            r"has amp='fp16', which is for GPUs, and the backbone of the "
            r"teacher is on the CPU: set amp='bf16' or amp=None\.")):
        accelerated(Speedup(amp='fp16'))(images())


def test_an_empty_batch_proves_nothing():
    module = accelerated(Speedup())
    assert module(images()[:0]).low.shape == (0, 8, 4, 4)
    assert type(module.bn) is nn.BatchNorm2d
    module(images())
    assert type(module.bn) is nn.Identity
    assert module(images()[:0]).low.shape == (0, 8, 4, 4)


def test_attributes_are_those_of_the_module():
    module = accelerated(Speedup())

    assert module.features == module.inner.features
    assert module.stride == 2 and module.conv is module.inner.conv
    for name in ('_private', 'nowhere'):
        with pytest.raises(AttributeError, match=name):
            getattr(module, name)
    assert not hasattr(AcceleratedModule.__new__(AcceleratedModule), 'conv')


def test_dicts_and_lists_are_gone_through():
    class Both(Dense):

        def forward(self, pair):
            first, second = pair
            return OrderedDict(a=[self.features(first)], n=3, b=second)

    found = accelerated(Speedup(amp='bf16'), Both())([images(), images()])

    assert type(found) is OrderedDict and found['n'] == 3
    assert found['a'][0].dtype == torch.float32
    assert found['a'][0].is_contiguous()


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_it_moves_before_and_after(dtype):
    module = accelerated(Speedup()).to(dtype)
    assert module(images(dtype=dtype)).low.dtype == dtype
    module.to(torch.float32)

    assert module(images()).low.dtype == torch.float32
    assert module.conv.weight.is_contiguous(
        memory_format=torch.channels_last)


def test_parts_that_gain_nothing_are_left_alone():
    teacher = nn.Sequential(OrderedDict(
        body=nn.Conv2d(3, 3, 1), pool=nn.Flatten(), stages=nn.ModuleList(
            [nn.Linear(3, 3), nn.Linear(3, 3)])))
    roots = [Root(name, contiguous=True) for name in (
        'body', 'pool', 'stages.1')]
    accelerate(teacher, roots, Speedup())
    first = teacher.body
    assert type(first) is AcceleratedModule and is_accelerated(teacher)
    assert not is_accelerated(teacher.stages)

    accelerate(teacher, roots, Speedup(amp='bf16'))
    assert teacher.body is first
    assert type(teacher.stages[1]) is AcceleratedModule
    assert type(teacher.stages[0]) is nn.Linear
    assert type(teacher.pool) is nn.Flatten
