"""One dense part of a teacher, made faster."""
from collections import OrderedDict, namedtuple

import pytest
import torch
from mmengine.logging import MMLogger
from torch import nn

from mmdeepkd.distillers.speedup import (
    AcceleratedModule,
    Root,
    Speedup,
    accelerate,
    is_accelerated,
)

OFF = Speedup(channels_last=False, fold_bn=False)
Levels = namedtuple('Levels', 'low high')


class Dense(nn.Module):
    """A convolution, a BatchNorm and a product with a matrix."""

    stride = 2

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 5)
        self.bn.running_mean.normal_()
        self.bn.running_var.uniform_(0.5, 2)
        self.seen = []

    def features(self, x):
        return self.bn(self.conv(x)).relu()

    def forward(self, x, scale=1):
        maps = self.features(x)
        self.seen.append((maps.dtype, maps.is_contiguous()))
        return Levels(maps * scale, self.fc(maps.mean((2, 3))))


class Misread(nn.Module):
    """Reads its input as an operator does that knows one format."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        x = self.conv(x)
        return x.as_strided(x.shape, torch.empty(x.shape).stride())


class Viewing(nn.Module):

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(x).view(len(x), -1)


def accelerated(speedup, inner=None, contiguous=True):
    inner = (inner or Dense()).eval().requires_grad_(False)
    return AcceleratedModule(inner, 'backbone', speedup, contiguous).eval()


def images(size=6, **kwargs):
    return torch.randn(
        2, 3, size, size, generator=torch.Generator().manual_seed(1),
        **kwargs)


@pytest.fixture
def logged(monkeypatch):
    texts = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'info', texts.append)
    return texts


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


def test_a_compiled_module_gives_the_same(logged):
    class Small(nn.Module):

        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(x).sigmoid()

    inner = Small()
    module = accelerated(OFF._replace(compile=True), inner)
    for _ in range(2):
        x = torch.randn(2, 4)
        torch.testing.assert_close(module(x), inner(x))

    assert list(module.state_dict()) == ['inner.fc.weight', 'inner.fc.bias']
    assert ', compiled; largest relative difference ' in logged[0]


def test_a_compiler_that_fails_is_named(monkeypatch):
    def refuse(*args):
        raise OSError('no C++ compiler')

    monkeypatch.setattr(torch, 'compile', lambda function: refuse)
    with pytest.raises(RuntimeError, match=(
            r'teacher_speedup cannot run the backbone of the teacher '
            r'\(OSError: no C\+\+ compiler\): set compile=False in '
            'teacher_speedup')):
        accelerated(Speedup(compile=True))(images())


def test_another_result_is_an_error():
    with pytest.raises(RuntimeError, match=(
            r'teacher_speedup changes what the backbone of the teacher gives '
            r'by [\d.]+ of the largest value on the first batch, where '
            r'rounding explains 0\.001: set channels_last=False or '
            r'fold_bn=False in teacher_speedup\.')):
        accelerated(Speedup(), Misread())(images())
    accelerated(Speedup(channels_last=False), Misread())(images())


def test_a_module_that_cannot_run_so_is_an_error():
    with pytest.raises(RuntimeError, match=(
            r'cannot run the backbone of the teacher \(RuntimeError: view '
            'size is not compatible .*set channels_last=False')):
        accelerated(OFF._replace(channels_last=True), Viewing())(images())


def test_what_autocast_cannot_hold_is_an_error():
    class Large(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            # Infinite in half precision alone.
            return torch.where(
                torch.tensor(self.conv(x).dtype == torch.float32),
                x, x / torch.zeros(()))

    with pytest.raises(RuntimeError, match='by inf .*set amp=None'):
        accelerated(OFF._replace(amp='bf16'), Large())(images().abs() + 1)


def test_an_empty_batch_proves_nothing():
    module = accelerated(Speedup())
    assert module(images()[:0]).low.shape == (0, 8, 4, 4)
    assert type(module.bn) is nn.BatchNorm2d
    module(images())
    assert type(module.bn) is nn.Identity
    assert module(images()[:0]).low.shape == (0, 8, 4, 4)


def test_what_the_module_writes_into_is_its_own():
    class Writes(Dense):

        def features(self, x):
            return super().features(x.mul_(2))

    x, y = images(), images()
    found, expected = accelerated(Speedup(), Writes())(x), Writes().eval()(y)

    torch.testing.assert_close(found.low, expected.low)


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
