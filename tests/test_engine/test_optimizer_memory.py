"""What an update takes in memory besides parameters, gradients and state."""
import pytest
import torch

from mmdeepkd.engine import DecoupledAdamW, DecoupledSGD
from mmdeepkd.engine.clipping import expose_sum, rescaled
from tests.helpers.memory import peak_bytes
from tests.helpers.toys import DELTAS

MIB = 2**20
# 16 MiB: one large, many small, and one whose rows are not whole vectors.
SHAPES = [(1024, 2048), *[(64, 64, 3, 3)] * 30, (1001, 1001)]


def zeros():
    return [torch.zeros(shape) for shape in SHAPES]


@pytest.fixture(scope='module')
def streams():
    return dict(task=zeros(), target=zeros())


def begun(kind, streams, **kwargs):
    optimizer = kind(zeros(), lr=0.1, weight_decay=0.1, offsets=DELTAS,
                     **kwargs)
    optimizer.step(streams)
    return optimizer


@pytest.mark.parametrize('kind, options, bound', [
    (DecoupledSGD, dict(fused=False), 2 * MIB),
    (DecoupledSGD, dict(), 2 * MIB),
    # The sum of the streams, and the root of the second moment.
    (DecoupledAdamW, dict(), 4 * MIB),
], ids=['sgd', 'fused sgd', 'adamw'])
def test_a_step_takes_the_memory_of_one_part(kind, options, bound, streams):
    optimizer = begun(kind, streams, **options)

    # A few bytes per tensor are counters.
    assert peak_bytes(
        lambda: optimizer.step(streams)) <= bound + 64 * len(SHAPES)


def test_a_stream_that_is_missing_takes_no_more(streams):
    optimizer = begun(DecoupledSGD, streams)

    # A zero gradient, and that with the weight decay.
    assert peak_bytes(lambda: optimizer.step(
        dict(target=streams['target']))) <= 4 * MIB + 64 * len(SHAPES)


def test_the_first_step_takes_its_state(streams):
    optimizer = DecoupledSGD(zeros(), lr=0.1, offsets=DELTAS)
    state = 2 * sum(g.numel() * 4 for g in streams['task'])

    assert state <= peak_bytes(
        lambda: optimizer.step(streams)) <= state + 2 * MIB


def test_scaling_streams_takes_the_memory_of_their_sum():
    params = [torch.zeros(2**18) for _ in range(32)]
    streams = {name: [torch.ones_like(p) for p in params]
               for name in ('task', 'target')}
    factor = torch.tensor(0.5)

    def clip():
        expose_sum(params, streams)
        scaled.update(rescaled(params, streams, factor))

    scaled = {}
    peak = peak_bytes(clip)

    assert all(g.eq(0.5).all() for values in scaled.values() for g in values)
    # Before the originals of both are gone there are the sum and some 25 MB.
    assert peak <= 2 * 32 * MIB + 26 * MIB
