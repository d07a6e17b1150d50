"""On its first batch a faster part must give what it gave before."""
import pytest
import torch
from torch import nn

from mmdeepkd.distillers.speedup import Speedup
from tests.helpers.dense import OFF, Dense, accelerated, images


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


@pytest.mark.parametrize('speedup', [
    Speedup(), Speedup(amp='bf16', compile=True)], ids=['exact', 'all'])
def test_another_result_is_an_error(speedup):
    """And only what is tried by then is said to be at fault."""
    with pytest.raises(RuntimeError, match=(
            r'teacher_speedup changes what the backbone of the teacher gives '
            r'by [\d.]+ of the largest value on the first batch, where '
            r'rounding explains 0\.001: in teacher_speedup set '
            r'channels_last=False, and if that is not enough '
            r'fold_bn=False\.$')):
        accelerated(speedup, Misread())(images())
    accelerated(Speedup(channels_last=False), Misread())(images())


def test_after_an_error_it_never_runs():
    module = accelerated(Speedup(), Misread())
    said = []
    for _ in range(3):
        with pytest.raises(RuntimeError) as error:
            module(images())
        said.append(str(error.value))

    assert len(set(said)) == 1 and 'changes what the backbone' in said[0]


def test_an_error_of_the_module_itself_can_be_mended():
    module = accelerated(Speedup())
    with pytest.raises(RuntimeError, match='channels'):
        module(images()[:, :2])
    assert type(module.bn) is nn.BatchNorm2d

    torch.testing.assert_close(
        module(images()).low, Dense().eval()(images()).low)


def test_a_module_that_cannot_run_so_is_an_error():
    with pytest.raises(RuntimeError, match=(
            r'cannot run the backbone of the teacher \(RuntimeError: view '
            'size is not compatible .*set channels_last=False\\.$')):
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

    with pytest.raises(RuntimeError, match=(
            'by inf .*rounding explains 0.12: .*set amp=None')):
        accelerated(OFF._replace(amp='bf16'), Large())(images().abs() + 1)


@pytest.mark.parametrize('factor, fine', [(1.05, True), (1.2, False)])
def test_what_autocast_changes_too_much_is_an_error(factor, fine):
    class Changed(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            x = self.conv(x)
            return x * (factor if x.dtype == torch.bfloat16 else 1)

    module = accelerated(OFF._replace(amp='bf16'), Changed())
    if fine:
        module(images())
    else:
        with pytest.raises(RuntimeError, match=(
                r'by 0\.2 of .* explains 0\.12: .*set amp=None\.$')):
            module(images())


def test_outputs_that_cannot_be_seen_are_an_error():
    class Own:

        def __init__(self, maps):
            self.maps = maps

    class Opaque(Dense):

        def forward(self, x):
            return Own(super().forward(x).low)

    module = accelerated(Speedup(), Opaque())
    for _ in range(2):
        with pytest.raises(TypeError, match=(
                'teacher_speedup cannot see the tensors in what the backbone '
                'of the teacher gives, a Own, so that nothing would be '
                'checked: let it give tensors in tuples, lists or dicts, or '
                'set teacher_speedup=None')):
            module(images())
    assert type(module.bn) is nn.BatchNorm2d


def test_memory_that_runs_out_is_named_as_torch_does():
    class Full(Dense):

        def forward(self, x):
            if self.seen:
                raise torch.cuda.OutOfMemoryError('CUDA out of memory.')
            return super().forward(x)

    module = accelerated(Speedup(), Full())
    with pytest.raises(torch.cuda.OutOfMemoryError,
                       match=r'^CUDA out of memory\.$'):
        module(images())
    with pytest.raises(RuntimeError, match=r'^CUDA out of memory\.$'):
        module(images())


def test_zeros_that_rounding_changes_are_fine():
    class Dead(Dense):

        def forward(self, x):
            # 0 if nothing rounds.
            y = self.features(x)
            return y.clamp(max=0) if type(self.bn) is nn.BatchNorm2d else (
                y.clamp(max=1e-8))

    accelerated(Speedup(), Dead())(images())


def test_inputs_come_in_the_dtype_of_an_autocast_around():
    module, plain = accelerated(Speedup()), Dense().eval()
    x = images().bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        found, expected = module(x), plain(x)

    assert module.seen[0][0] == torch.float32
    torch.testing.assert_close(found.low, expected.low, rtol=0.05, atol=0.05)


def test_devices_without_autocast_are_not_asked_for_it(monkeypatch):
    """As mps and npu with torch 2.1."""
    def unsupported(*args, **kwargs):
        raise RuntimeError('unsupported autocast device_type')

    monkeypatch.setattr(torch, 'autocast', unsupported)
    accelerated(Speedup())(images())


@pytest.mark.parametrize('speedup', [
    Speedup(), OFF._replace(amp='bf16'), OFF._replace(fold_bn=True)],
    ids=['both', 'amp', 'fold_bn'])
def test_no_check_writes_into_the_batch(speedup):
    class Writes(Dense):

        def features(self, x):
            return super().features(x.mul_(2))

    x, y = images(), images()
    found, expected = accelerated(speedup, Writes())(x), Writes().eval()(y)

    torch.testing.assert_close(found.low, expected.low, rtol=0.05, atol=0.05)


def test_only_maps_are_given_another_format():
    class Beside(Dense):

        def forward(self, x, tokens):
            return super().forward(x).high, tokens * 2

    tokens = torch.randn(2, 4, 8).transpose(1, 2)
    module = accelerated(Speedup(), Beside())
    for _ in range(2):
        torch.testing.assert_close(module(images(), tokens)[1], tokens * 2)
