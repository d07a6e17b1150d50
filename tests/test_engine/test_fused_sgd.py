"""DecoupledSGD with torch's fused SGD and without it."""
import copy
import itertools
import pickle
from unittest.mock import patch

import pytest
import torch
from torch.optim import SGD, AdamW

from mmdeepkd.engine import DecoupledAdamW, DecoupledSGD
from mmdeepkd.engine.decouple import decouple
from mmdeepkd.engine.optimizers import fused as fused_module
from mmdeepkd.engine.optimizers import momentum, parts
from mmdeepkd.engine.optimizers.fused import fused_kernel, fuses
from tests.helpers.toys import DELTAS, difference, equal, stream_lists

EXISTS, EXACT = fused_kernel('cpu', torch.float32)
CHOICES = [None, False, *([True] if EXISTS else [])]
# Whole vectors, rests of vectors, slices of both kinds, no element.
SHAPES = [(16, 4, 3, 3), (16, ), (5, 3), (), (70, 101), (64, 128), (0, 3)]
HYPER = [
    dict(weight_decay=wd, dampening=damp, momentum=mu)
    for wd, damp, mu in itertools.product((0., 0.1), (0., 0.3), (0.9, 0.))
]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, '_CPU_BYTES', 2**12)


def parameters(channels_last=False, dtype=torch.float32):
    generator = torch.Generator().manual_seed(7)
    params = [torch.randn(s, generator=generator).to(dtype) for s in SHAPES]
    if channels_last:
        params[0] = params[0].to(memory_format=torch.channels_last)
    return params


def groups(params):
    return [dict(params=params[:2]),
            dict(params=params[2:], lr=0.02, weight_decay=0.03)]


def train(params, fused, steps=4, missing=0.3, change=None, **kwargs):
    optimizer = DecoupledSGD(
        groups(params), lr=0.1, offsets=DELTAS, fused=fused, **kwargs)
    for step in range(steps):
        grads = stream_lists(params, step, ('task', 'target'), missing)
        if change is not None:
            grads = {s: [g if g is None else change(g) for g in values]
                     for s, values in grads.items()}
        optimizer.step(grads)
    return params


def calls(function):
    """How often a function calls torch's fused SGD, and its result."""
    with patch.object(momentum, 'fused_step',
                      wraps=momentum.fused_step) as fused_step:
        result = function()
    return fused_step.call_count, result


@pytest.mark.parametrize('fused', [None, False])
@pytest.mark.parametrize('hyper', HYPER, ids=str)
@pytest.mark.parametrize('by_foreach', [True, False])
def test_one_stream_is_torch_sgd_bit_for_bit(fused, hyper, by_foreach):
    params, others = parameters(), parameters()
    optimizer = DecoupledSGD(groups(params), lr=0.1, fused=fused, **hyper)
    sgd = SGD(groups(others), lr=0.1, foreach=by_foreach, **hyper)
    for step in range(4):
        grads = stream_lists(params, step, ['task'], missing=0.3)
        optimizer.step(grads)
        for param, grad in zip(others, grads['task']):
            param.grad = grad
        sgd.step()

    assert equal(params, others)


@pytest.mark.parametrize('hyper', [
    dict(weight_decay=0.1), dict(weight_decay=0.1, dampening=0.3),
    dict(dampening='ema'), dict(momentum=0.05),
    dict(offsets=dict(target=-0.05, task=0.05))
], ids=str)
@pytest.mark.parametrize('channels_last', [False, True])
def test_fused_where_exact_changes_no_bit(hyper, channels_last):
    hyper = {'momentum': 0.9, 'offsets': DELTAS, **hyper}
    results = []
    for fused in (None, False):
        params = parameters(channels_last)
        optimizer = DecoupledSGD(groups(params), 0.1, fused=fused, **hyper)
        for step in range(4):
            # The buffer of a stream may begin later than the parameter.
            streams = ('target', 'task') if step else ('target', )
            optimizer.step(stream_lists(params, step, streams, missing=0.3))
        results.append((params, [
            optimizer.state[p].get(f'{stream}_momentum_buffer', p)
            for p in params for stream in ('task', 'target')]))

    assert equal(results[0][0], results[1][0])
    assert equal(results[0][1], results[1][1])


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_fused_by_force_differs_by_rounding_only(dtype):
    if not EXISTS:
        with pytest.raises(ValueError, match='has no fused SGD'):
            train(parameters(), True)
        return
    results = [
        train(parameters(dtype=dtype), fused, weight_decay=0.1)
        for fused in (True, False)
    ]

    assert difference(*[[p for p in params if p.numel()]
                        for params in results]) <= 8 * torch.finfo(dtype).eps


def test_the_fused_kernel_is_used_where_it_is_there():
    by_default, _ = calls(lambda: train(parameters(), None))
    never, _ = calls(lambda: train(parameters(), False))

    assert (by_default > 0) is EXACT
    assert never == 0


LAYOUT_CHANGES = {
    'strides': lambda g: g.to(memory_format=torch.channels_last)
    if g.dim() == 4 else g.t().contiguous().t() if g.dim() == 2 else g,
    'expanded': lambda g: g.sum().expand(g.shape),
    'sliced': lambda g: torch.stack([g, -g], dim=-1)[..., 0],
    'dtype': lambda g: g.double(),
}


@pytest.mark.parametrize('change', list(LAYOUT_CHANGES))
@pytest.mark.parametrize('fused', CHOICES)
def test_a_gradient_of_another_layout_is_read_right(change, fused):
    results = [
        train(parameters(), choice, missing=0., weight_decay=0.1,
              change=function)
        for choice, function in (
            (fused, LAYOUT_CHANGES[change]),
            (False, lambda g: LAYOUT_CHANGES[change](g).float().contiguous()))
    ]

    assert difference(*[[p for p in params if p.numel()]
                        for params in results]) <= 1e-4


def test_a_buffer_of_another_layout_is_read_right():
    results = []
    for late in (True, False):
        params = parameters(channels_last=not late)
        optimizer = DecoupledSGD(params, 0.1, offsets=DELTAS)
        for step in range(3):
            grads = stream_lists(params, step)
            for values in grads.values():
                # Only the buffer differs from the parameter.
                values[0] = values[0].to(memory_format=torch.channels_last)
            optimizer.step(grads)
            if late and not step:
                params[0].data = params[0].to(
                    memory_format=torch.channels_last)
        results.append(params)

    assert equal(*results)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_trained_by_force_or_refused(dtype):
    # torch 2.12's kernel for the CPU leaves such parameters where they are.
    if not fused_kernel('cpu', dtype)[0]:
        with pytest.raises(ValueError, match='leave fused=True out'):
            train(parameters(dtype=dtype), True)
        return
    results = [train(parameters(dtype=dtype), fused)
               for fused in (True, False)]
    assert difference(*[[p.float() for p in params if p.numel()]
                        for params in results]) <= 0.1


def test_the_kernel_gets_one_dimension():
    params = parameters(channels_last=True)
    optimizer = DecoupledSGD(params, 0.1, offsets=DELTAS, fused=None)
    for step in range(2):
        with patch.object(fused_module, 'sgd',
                          wraps=fused_module.sgd) as kernel:
            grads = stream_lists(params, step)
            for values in grads.values():
                values[0] = values[0].to(memory_format=torch.channels_last)
            optimizer.step(grads)

    handed = [t for call in kernel.call_args_list for arg in call.args
              for t in arg]
    assert bool(handed) == EXACT
    assert all(t.dim() < 2 and t.is_contiguous() for t in handed)


def test_the_stride_of_a_single_value_is_none():
    param = torch.ones(16, 8, 1, 1).to(memory_format=torch.channels_last)
    grad = torch.ones(16, 8, 1, 1)

    assert param.stride() != grad.stride()
    assert fuses(param, grad, torch.zeros_like(param), exact=True)
    assert not fuses(param, torch.ones(8, 16, 1, 1).transpose(0, 1),
                     torch.zeros_like(param), exact=True)


def test_the_released_update_has_no_fused_form():
    with pytest.raises(ValueError, match='leave fused=True out'):
        DecoupledSGD(parameters(), 0.1, offsets=DELTAS, semantics='released',
                     fused=True)


def test_a_sparse_gradient_is_not_for_the_fused_kernel():
    dense = torch.eye(16)

    assert fuses(dense, dense, dense, exact=True)
    assert not fuses(dense, dense.to_sparse(), dense, exact=False)


def test_a_dtype_without_a_fused_sgd_is_named():
    param = torch.zeros(3, dtype=torch.complex64)
    with pytest.raises(ValueError, match='no fused SGD for a parameter of '
                                         'torch.complex64 on cpu: leave'):
        DecoupledSGD([param], lr=0.1, fused=True)


def test_a_run_is_resumed_with_another_choice():
    params = parameters()
    optimizer = DecoupledSGD(groups(params), 0.1, offsets=DELTAS)
    optimizer.step(stream_lists(params, 0))
    others = [p.clone() for p in params]
    resumed = DecoupledSGD(groups(others), 0.5, offsets=DELTAS, fused=False)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    count, _ = calls(lambda: resumed.step(stream_lists(others, 1)))
    optimizer.step(stream_lists(params, 1))

    assert count == 0
    assert equal(params, others)
    assert all('fused' not in g for g in optimizer.state_dict()[
        'param_groups'])


@pytest.mark.parametrize('fused', CHOICES)
def test_a_copy_keeps_the_choice(fused):
    optimizer = DecoupledSGD(parameters(), 0.1, fused=fused)

    assert copy.deepcopy(optimizer).fused is fused
    assert pickle.loads(pickle.dumps(optimizer)).fused is fused


@pytest.mark.parametrize('options, expected', [
    (dict(), None), (dict(foreach=True), False), (dict(foreach=False), None),
    *([(dict(fused=True), True), (dict(fused=False), False)] if EXISTS
      else [])
], ids=str)
def test_the_choice_of_the_configured_sgd_is_kept(options, expected):
    optimizer = decouple(SGD(parameters(), lr=0.1, momentum=0.9, **options),
                         DELTAS)

    assert optimizer.fused is expected


@pytest.mark.parametrize('kind, make', [
    (SGD, lambda params, fused: DecoupledSGD(
        params, lr=0.1, momentum=0.9, fused=fused)),
    (AdamW, lambda params, fused: DecoupledAdamW(params, lr=0.1)),
])
def test_the_checkpoint_of_a_fused_optimizer_loads(kind, make):
    params = parameters()
    plain = kind(params, lr=0.3, **(
        dict(momentum=0.9) if kind is SGD else {}))
    for param in params:
        param.grad = torch.ones_like(param)
    plain.step()
    state = plain.state_dict()
    state['param_groups'][0]['fused'] = True
    optimizer = make(parameters(), False)
    with pytest.warns(UserWarning, match=f'plain {kind.__name__}'):
        optimizer.load_state_dict(state)

    assert optimizer.param_groups[0]['lr'] == 0.3
    assert 'fused' not in optimizer.param_groups[0]
