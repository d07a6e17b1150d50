"""What trains what in DiffKD: each loss reaches the parts it says."""
import pytest
import torch

from tests.helpers.diffkd import cases

PARTS = ('transform', 'noise_adapter', 'projection', 'denoiser',
         'autoencoder')
# Of one channel a BatchNorm undoes the weight before it: enough for several.
WIDE = dict(map_channels=(4, 32))
MATCHED = {'student', 'transform', 'noise_adapter', 'projection'}


def reached(value, adapter, student):
    """Name the parts that a value's gradient reaches, and check them whole.

    A part is reached where every one of its parameters gets a gradient that
    is not all zero: but for the biases before a BatchNorm, which it undoes.
    """
    names, params = zip(*adapter.named_parameters())
    *grads, to_student = torch.autograd.grad(
        value, [*params, student], retain_graph=True, allow_unused=True)
    found = {'student'} if to_student is not None and to_student.any() else (
        set())
    for part in PARTS:
        own = [(name, grad) for name, grad in zip(names, grads)
               if name.startswith(part)]
        some = [grad is not None for _, grad in own]
        assert all(some) or not any(some), part
        if any(some):
            assert all(grad.any() for name, grad in own
                       if name.endswith('weight')), part
            found.add(part)
    return found


@pytest.mark.parametrize('train', [True, False], ids=['train', 'eval'])
@pytest.mark.parametrize('semantics', ['paper', 'released'])
@pytest.mark.parametrize('kind', ['maps', 'logits'])
def test_each_loss_trains_what_it_says(kind, semantics, train):
    loss, adapter, student, teacher = cases(semantics=semantics, **WIDE)[kind]
    teacher.requires_grad_()
    adapter.train(train)

    terms = loss(adapter, student, teacher, place='here').losses

    matched = MATCHED | ({'denoiser'} if semantics == 'released' else set())
    assert reached(terms['diffusion'], adapter, student) == {'denoiser'}
    assert reached(terms[''], adapter, student) == matched
    if kind == 'maps':
        assert reached(terms['autoencoder'], adapter,
                       student) == {'autoencoder'}
    for value in terms.values():
        assert torch.autograd.grad(
            value, teacher, retain_graph=True, allow_unused=True) == (None, )


@pytest.mark.parametrize('kind', ['maps', 'logits'])
def test_all_parts_of_an_adapter_are_trained(kind):
    loss, adapter, student, teacher = cases()[kind]

    sum(loss(adapter, student, teacher, place='here').losses.values()
        ).backward()

    assert all(p.requires_grad and p.grad is not None
               for p in adapter.parameters())


@pytest.mark.parametrize('kind', ['maps', 'logits'])
def test_the_denoiser_can_be_trained_after_it_was_a_constant(kind):
    loss, adapter, student, teacher = cases(semantics='paper')[kind]
    before = dict(adapter.named_parameters())

    loss(adapter, student, teacher, place='here')

    assert all(p is before[name] and p.requires_grad
               for name, p in adapter.named_parameters())


@pytest.mark.parametrize('semantics', ['paper', 'released'])
@pytest.mark.parametrize('kind', ['maps', 'logits'])
def test_statistics_of_the_denoiser_see_every_step(kind, semantics):
    loss, adapter, student, teacher = cases(
        semantics=semantics, num_steps=4)[kind]

    loss(adapter, student, teacher, place='here')

    counts = {name: int(value) for name, value in adapter.state_dict().items()
              if name.endswith('num_batches_tracked')}
    assert counts and all(
        count == (5 if name.startswith('denoiser') else 1)
        for name, count in counts.items())


@pytest.mark.parametrize('kind', ['maps', 'logits'])
def test_without_weight_the_student_gets_a_zero_gradient(kind):
    loss, adapter, student, teacher = cases(loss_weight=0.0)[kind]

    terms = loss(adapter, student, teacher, place='here').losses
    sum(terms.values()).backward()

    assert terms[''] == 0 and not student.grad.any()
    assert any(p.grad.any() for p in adapter.denoiser.parameters())
