"""DiffKD's losses: terms, options, precision, empty batches."""
import copy

import pytest
import torch

from mmdeepkd.functional import kd_divergence
from mmdeepkd.losses import DiffKDLogitsLoss, DiffKDLoss
from mmdeepkd.losses.diffkd import Bottleneck
from mmdeepkd.registry import MODELS
from tests.helpers.diffkd import (
    cases,
    random_logits,
    random_maps,
    with_adapter,
)

KINDS = ['maps', 'logits']


def run(loss, adapter, student, teacher, place='here'):
    """Return the terms from the adapter's present state, which stays."""
    return loss(copy.deepcopy(adapter), student, teacher, place=place)


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize('kind', KINDS)
def test_the_terms_are_means_of_what_is_compared(kind):
    loss, adapter, student, teacher = cases()[kind]
    output = loss.compare(copy.deepcopy(adapter), student, teacher, 'here')

    losses, values = run(loss, adapter, student, teacher)

    torch.testing.assert_close(
        losses['diffusion'], output.diffusion_loss.mean())
    torch.testing.assert_close(values['gamma'], output.gamma.mean())
    assert values['gamma'].dim() == 0 and not values['gamma'].requires_grad
    assert 0 < values['gamma'] < 1
    if kind == 'maps':
        expected = ((output.refined - output.target)**2).mean()
        torch.testing.assert_close(
            losses['autoencoder'], output.reconstruction_loss.mean())
    else:
        expected = kd_divergence(output.refined[:, :, 0, 0], teacher,
                                 1.0).mean()
        assert 'autoencoder' not in losses
    torch.testing.assert_close(losses[''], expected)


@pytest.mark.parametrize('kind', KINDS)
def test_what_is_shown_of_a_trained_adapter(kind):
    loss, adapter, student, teacher = cases()[kind]
    adapter.eval()
    before = copy.deepcopy(adapter.state_dict())

    with torch.no_grad():
        first = loss.compare(adapter, student, teacher, 'here')
        second = loss.compare(adapter, student, teacher, 'here')

    shape = first.raw.shape
    assert shape[0] == len(student) and first.gamma.shape == shape[:1]
    for name in ('noisy', 'denoised', 'refined', 'target'):
        assert getattr(first, name).shape == shape
        assert torch.equal(getattr(first, name), getattr(second, name))
    after = adapter.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_without_noise_in_it_the_feature_is_kept():
    loss, adapter, student, teacher = cases()['maps']
    with torch.no_grad():
        adapter.noise_adapter.gates.weight.zero_()
        adapter.noise_adapter.gates.bias.copy_(torch.tensor([60.0, -60.0]))

    output = loss.compare(adapter, student, teacher, 'here')

    assert torch.equal(output.gamma, torch.ones(2))
    torch.testing.assert_close(output.noisy, output.raw)


@pytest.mark.parametrize(('kind', 'option', 'term'), [
    ('maps', 'loss_weight', ''), ('maps', 'diffusion_weight', 'diffusion'),
    ('maps', 'autoencoder_weight', 'autoencoder'),
    ('logits', 'loss_weight', ''), ('logits', 'diffusion_weight',
                                    'diffusion'),
])
def test_a_weight_scales_its_own_term(kind, option, term):
    plain = run(*cases()[kind]).losses
    scaled = run(*with_adapter_of(kind, **{option: 2.5})).losses

    for name, value in plain.items():
        torch.testing.assert_close(
            scaled[name], (2.5 if name == term else 1) * value)


def with_adapter_of(kind, **kwargs):
    if kind == 'maps':
        return (*with_adapter(DiffKDLoss(**kwargs)), *random_maps())
    return (*with_adapter(DiffKDLogitsLoss(**kwargs), (5, 5)),
            *random_logits())


@pytest.mark.parametrize('kind', KINDS)
def test_the_warm_up_scales_the_matching_alone(kind):
    loss, *rest = cases(loss_weight=3.0)[kind]
    plain = run(loss, *rest).losses
    loss.warmup_factor = 0.25

    warm = run(loss, *rest).losses

    torch.testing.assert_close(warm.pop(''), 0.25 * plain.pop(''))
    assert warm == plain


def test_the_temperature_softens_the_divergence():
    _, adapter, student, teacher = cases()['logits']
    output = DiffKDLogitsLoss().compare(
        copy.deepcopy(adapter), student, teacher, 'here')

    found = run(DiffKDLogitsLoss(4.0), adapter, student, teacher).losses['']

    torch.testing.assert_close(
        found,
        kd_divergence(output.refined.flatten(1), teacher, 4.0).mean())


@pytest.mark.parametrize(('channels', 'code'), [
    ('half', 3), (2, 2), (None, None)])
def test_the_code_has_the_channels_asked_for(channels, code):
    adapter = DiffKDLoss(channels).build_adapter(4, 6)

    assert adapter.transform.out_channels == (code or 6)
    assert adapter.projection[0].out_channels == (code or 6)
    if code is None:
        assert adapter.autoencoder is None
    else:
        assert adapter.autoencoder.decoder.in_channels == code


def test_a_code_that_compresses_nothing_is_warned_about():
    with pytest.warns(UserWarning, match=(
            r'^DiffKDLoss has channels=6 for a map of 6: such a code '
            "compresses nothing; 'half' is cheaper")):
        DiffKDLoss(6).build_adapter(4, 6)


def test_as_many_parameters_as_the_published_adapters():
    # ResNet-34 to ResNet-18 on ImageNet; on no device, to be quick.
    with torch.device('meta'), pytest.warns(UserWarning):
        maps = DiffKDLoss(1024).build_adapter(512, 512)
        logits = DiffKDLogitsLoss().build_adapter(1000, 1000)

    sizes = {name: round(count(part) / 1e6, 2)
             for name, part in maps.named_children()}
    assert sizes == dict(transform=0.53, autoencoder=1.05, denoiser=4.6,
                         noise_adapter=0.42, projection=1.05)
    assert round(count(maps) / 1e6, 2) == 7.64
    assert round(count(logits.denoiser) / 1e6, 1) == 17.3
    assert round(count(logits.noise_adapter) / 1e6, 1) == 4.0
    assert round(count(logits) / 1e6, 1) == 23.3


def test_one_channel_is_enough_for_maps():
    loss, adapter = with_adapter(DiffKDLoss(), (1, 1))

    losses = loss(adapter, *random_maps(channels=(1, 1)), place='map').losses

    assert all(value.isfinite() for value in losses.values())
    assert Bottleneck(3, 4).block[0].out_channels == 1


@pytest.mark.parametrize('kind', KINDS)
def test_an_empty_batch_costs_nothing(kind):
    loss, adapter, student, teacher = cases()[kind]

    student = student[:0]
    losses, values = loss(adapter, student, teacher[:0], place='here')
    sum(losses.values()).backward()

    assert all(value == 0 and value.requires_grad
               for value in losses.values())
    assert values['gamma'] == 0
    assert all(value.isfinite().all()
               for value in adapter.state_dict().values())
    assert not any(p.grad.any() for p in adapter.parameters()
                   if p.grad is not None)


@pytest.mark.parametrize('kind', KINDS)
def test_a_single_value_per_channel_is_torchs_error(kind):
    loss, adapter, student, teacher = cases()[kind]
    if kind == 'maps':
        student, teacher = student[..., :1, :1], teacher[..., :1, :1]

    with pytest.raises(ValueError, match='more than 1 value per channel'):
        loss(adapter, student[:1], teacher[:1], place='here')


def test_the_options_of_a_config():
    loss = DiffKDLoss(levels=[0, -1], channels=8, align='error')

    assert (loss.levels, loss.channels, loss.align) == ([0, -1], 8, 'error')
    assert loss.streams == ('feature', ) and loss.needs_adapter
    assert not list(loss.parameters())
    assert (loss.reads, loss.method) == ('maps', 'diffkd')
    # A config names it; to build it would import every room.
    assert MODELS.module_dict['DiffKDLoss'] is DiffKDLoss
    assert MODELS.module_dict['DiffKDLogitsLoss'] is DiffKDLogitsLoss
