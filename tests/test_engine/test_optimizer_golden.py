"""DecoupledSGD against the trajectories of the reference optimizers."""
import pytest
import torch

from mmdeepkd.engine import DecoupledSGD
from tests import golden

NAMES = dict(
    tog='task', tcg='target', ncg='non_target', task='task', kd='distill')
PAPER = [(name, 'paper') for name in golden.names('opt_deepkd_paper__*')]
RELEASED = [(name, 'released') for family in ('dot', 'deepkd')
            for name in golden.names(f'opt_{family}_released__*')]
# DOT's release is its paper where every parameter is in both streams.
BOTH = [*PAPER, *RELEASED, ('opt_dot_released__default', 'paper')]
WHOLE = [pair for pair in BOTH if 'partial' not in pair[0]]
PARTIAL = [pair for pair in BOTH if 'partial' in pair[0]]


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


def reference_streams(data):
    return [s for s in NAMES if f'hp_mu_{s}' in data]


def build(params, data, semantics):
    ema = data.get('hp_ema')
    return DecoupledSGD(
        params,
        lr=0.1,
        momentum=0.9,
        offsets={
            NAMES[s]: data[f'hp_mu_{s}'] - 0.9
            for s in reference_streams(data)
        },
        weight_decay=data['hp_weight_decay'],
        dampening='ema' if ema else data.get('hp_dampening', 0.0),
        semantics=semantics,
        merge=False)


def test_every_family_has_golden_files():
    assert (len(PAPER), len(RELEASED), len(PARTIAL)) == (6, 13, 3)


@pytest.mark.parametrize('name, semantics', WHOLE)
def test_parameters_and_buffers_follow_the_reference(name, semantics):
    data = golden.load(name)
    keys = [k[5:] for k in data if k.startswith('init_')]
    params = [data[f'init_{k}'].clone() for k in keys]
    streams = reference_streams(data)
    optimizer = build(params, data, semantics)
    for t in range(len(data['hp_lr'])):
        optimizer.param_groups[0]['lr'] = float(data['hp_lr'][t])
        optimizer.step({
            NAMES[s]: [data[f'grad_{s}_{k}'][t] for k in keys]
            for s in streams
        })
        for key, param in zip(keys, params):
            close(param, data[f'step_{key}'][t])
            for s in streams:
                expected = data[f'buf_{s}_{key}'][t]
                buffer = optimizer.state[param].get(
                    f'{NAMES[s]}_momentum_buffer')
                if buffer is None:
                    assert expected.isnan().all()
                else:
                    close(buffer, expected)


@pytest.mark.parametrize('name, semantics', PARTIAL)
def test_parameters_that_miss_streams_follow_the_release(name, semantics):
    data = golden.load(name)
    params = [row.clone() for row in data['init']]
    streams = reference_streams(data)
    optimizer = build(params, data, semantics)
    optimizer.param_groups[0]['lr'] = data['hp_lr']
    for grads, expected in zip(data['grads'], data['params']):
        optimizer.step({
            NAMES[s]: [
                grads[j, i] if data['present'][i, j] else None
                for i in range(len(params))
            ]
            for j, s in enumerate(streams)
        })
        close(torch.stack(params), expected)


def test_the_partial_files_tell_the_release_from_the_paper():
    data = golden.load('opt_deepkd_released__partial_default')
    params = [row.clone() for row in data['init']]
    optimizer = build(params, data, 'paper')
    for grads in data['grads']:
        optimizer.step({
            NAMES[s]: [
                grads[j, i] if data['present'][i, j] else None
                for i in range(len(params))
            ]
            for j, s in enumerate(reference_streams(data))
        })

    assert (torch.stack(params) - data['params'][-1]).abs().max() > 1e-3
