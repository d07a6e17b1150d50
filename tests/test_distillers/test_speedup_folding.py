"""Only what one forward pass proves to be conv -> BatchNorm is folded."""
import pytest
import torch
from mmengine.utils.dl_utils.parrots_wrapper import (
    SyncBatchNorm as MMEngineSyncBatchNorm,
)
from timm.layers import BatchNormAct2d
from torch import nn

from mmdeepkd.distillers.speedup.folding import count_norms, find_pairs, fold


class Net(nn.Module):
    """Calls its modules as a function says."""

    def __init__(self, run, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.run = run

    def forward(self, x):
        return self.run(self, x)


class Shifted(nn.BatchNorm2d):

    def forward(self, x):
        return super().forward(x) + 1


class Strided(nn.Conv2d):
    pass


def conv(inputs=3, outputs=3, **kwargs):
    return nn.Conv2d(inputs, outputs, 3, padding=1, **kwargs)


def norm(kind=nn.BatchNorm2d, **kwargs):
    """A BatchNorm that does something."""
    made = kind(3, **kwargs)
    if made.running_mean is not None:
        made.running_mean.normal_()
        made.running_var.uniform_(0.5, 2)
    if made.weight is not None:
        nn.init.uniform_(made.weight, 0.5, 2)
        nn.init.normal_(made.bias)
    return made


def folded(net):
    """Fold what can be; return how many, and check that nothing changes."""
    net.double().eval()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    expected, pairs = find_pairs(net, lambda: net(x.clone()))
    before = count_norms(net)
    fold(net, pairs)

    found = net(x.clone())
    for a, b in zip(*((o if isinstance(o, tuple) else (o, ))
                      for o in (expected, found))):
        torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-12)
    assert before - count_norms(net) == len(pairs)
    assert not any(m._forward_hooks or m._forward_pre_hooks
                   for m in net.modules())
    assert not any(m.training for m in net.modules())
    return len(pairs)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize('kind', [
    nn.BatchNorm2d, nn.SyncBatchNorm, MMEngineSyncBatchNorm],
    ids=['BN', 'SyncBN', 'SyncBN of mmengine'])
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('affine', [True, False])
def test_conv_then_norm_is_folded(kind, bias, affine):
    net = nn.Sequential(
        conv(bias=bias), norm(kind, affine=affine), nn.ReLU(), conv(),
        norm(kind))

    assert folded(net) == 2
    assert type(net[1]) is nn.Identity and net[0].bias is not None


def test_names_of_properties_and_shared_registration_are_followed():
    """As mmdet's blocks: the norm is found by a name; one twice."""
    net = Net(lambda m, x: m.bn1(m.conv1(x)), conv1=conv(), bn1=norm())
    net.alias = net.bn1

    assert folded(net) == 1
    assert net.alias is net.bn1 and type(net.bn1) is nn.Identity


def test_a_residual_is_folded_on_both_branches():
    net = Net(
        lambda m, x: m.bn1(m.conv1(x)).relu_() + m.bn2(m.conv2(x)),
        conv1=conv(), bn1=norm(), conv2=conv(), bn2=norm())

    assert folded(net) == 2


UNFOLDED = {
    'pre-activation': (
        lambda m, x: m.conv2(m.bn1(x).relu()), dict(bn1=norm, conv2=conv)),
    'relu between': (
        lambda m, x: m.bn1(m.conv1(x).relu()), dict(conv1=conv, bn1=norm)),
    'relu in place between': (
        lambda m, x: m.bn1(torch.relu_(m.conv1(x))),
        dict(conv1=conv, bn1=norm)),
    'read beside': (
        lambda m, x: (lambda y: m.bn1(y) + y)(m.conv1(x)),
        dict(conv1=conv, bn1=norm)),
    'read in a list': (
        lambda m, x: (lambda y: torch.cat([m.bn1(y), y]))(m.conv1(x)),
        dict(conv1=conv, bn1=norm)),
    'read by a conv': (
        lambda m, x: (lambda y: m.bn1(y) + m.conv2(y))(m.conv1(x)),
        dict(conv1=conv, bn1=norm, conv2=conv)),
    'returned too': (
        lambda m, x: (lambda y: (m.bn1(y), y))(m.conv1(x)),
        dict(conv1=conv, bn1=norm)),
    'two norms': (
        lambda m, x: (lambda y: m.bn1(y) + m.bn2(y))(m.conv1(x)),
        dict(conv1=conv, bn1=norm, bn2=norm)),
    'conv shared': (
        lambda m, x: m.bn2(m.conv1(m.bn1(m.conv1(x)))),
        dict(conv1=conv, bn1=norm, bn2=norm)),
    'norm shared': (
        lambda m, x: m.bn1(m.conv2(m.bn1(m.conv1(x)))),
        dict(conv1=conv, conv2=conv, bn1=norm)),
    'conv also without a norm': (
        lambda m, x: m.bn1(m.conv1(x)) + m.conv1(2 * x),
        dict(conv1=conv, bn1=norm)),
    'norm of another class': (
        lambda m, x: m.bn1(m.conv1(x)),
        dict(conv1=conv, bn1=lambda: norm(Shifted))),
    'norm with an activation': (
        lambda m, x: m.bn1(m.conv1(x)),
        dict(conv1=conv, bn1=lambda: norm(BatchNormAct2d))),
    'conv of another class': (
        lambda m, x: m.bn1(m.conv1(x)),
        dict(conv1=lambda: Strided(3, 3, 3), bn1=norm)),
    'no running statistics': (
        lambda m, x: m.bn1(m.conv1(x)),
        dict(conv1=conv, bn1=lambda: norm(track_running_stats=False))),
}


@pytest.mark.parametrize('case', UNFOLDED)
def test_nothing_else_is_folded(case):
    run, modules = UNFOLDED[case]

    assert folded(Net(run, **{k: v() for k, v in modules.items()})) == 0


def test_a_norm_in_training_is_not_folded():
    net = nn.Sequential(conv(), norm()).eval()
    net[1].train()
    _, pairs = find_pairs(net, lambda: net(torch.randn(2, 3, 5, 5)))

    assert pairs == []


@pytest.mark.parametrize('name', ['conv1', 'bn1'])
@pytest.mark.parametrize('hook', [
    'register_forward_hook', 'register_forward_pre_hook'])
def test_a_module_that_somebody_watches_is_not_folded(name, hook):
    net = Net(lambda m, x: m.bn1(m.conv1(x)), conv1=conv(), bn1=norm()).eval()
    getattr(net.get_submodule(name), hook)(lambda *args: None)
    _, pairs = find_pairs(net, lambda: net(torch.randn(2, 3, 5, 5)))

    assert pairs == []


def test_a_module_that_fails_is_left_without_hooks():
    def fail(m, x):
        raise ValueError('no')

    net = Net(fail, conv1=conv(), bn1=norm()).eval()
    with pytest.raises(ValueError, match='no'):
        find_pairs(net, lambda: net(torch.randn(2, 3, 5, 5)))

    assert not any(m._forward_hooks or m._forward_pre_hooks
                   for m in net.modules())
