"""Optimizers work part by part: nothing is left out, nothing done twice."""
import pytest
import torch

from mmdeepkd.engine.optimizers.parts import parts

LIMIT = 2**21
LAYOUTS = {
    'small': [(3, 4), (), (0, 5), (7, )],
    'many': [(500, 400)] * 9,
    'one large': [(3, ), (3000, 700), (5, )],
    'large ones in a row': [(1200, 700), (1, 900000), (900000, )],
    'only large': [(3000, 700)],
}


def covered(params):
    """How often each element is in a part."""
    counts = [torch.zeros_like(p) for p in params]
    for part in parts(params):
        for count in part.of(counts):
            count += 1
    return counts


@pytest.mark.parametrize('shapes', list(LAYOUTS.values()), ids=list(LAYOUTS))
def test_every_element_is_in_one_part(shapes):
    for count in covered([torch.zeros(shape) for shape in shapes]):
        assert torch.equal(count, torch.ones_like(count))


def test_a_tensor_of_any_layout_is_covered():
    image = torch.zeros(90, 80, 10, 10)
    params = [
        image.to(memory_format=torch.channels_last),
        image.transpose(0, 1),
        torch.zeros(1, 3000, 300).transpose(0, 2),
    ]
    for count in covered(params):
        assert torch.equal(count, torch.ones_like(count))


@pytest.mark.parametrize('shapes', list(LAYOUTS.values()), ids=list(LAYOUTS))
def test_a_part_is_bounded(shapes):
    params = [torch.zeros(shape) for shape in shapes]
    sizes = [sum(p.numel() * 4 for p in part.of(params))
             for part in parts(params)]

    assert max(sizes) <= LIMIT
    # At least every other part is half full.
    assert len(sizes) <= 2 * sum(sizes) // (LIMIT // 2) + 1


def test_a_part_of_a_dense_tensor_is_dense():
    params = [torch.zeros(90, 80, 10, 10).to(
        memory_format=torch.channels_last)]
    found = list(parts(params))

    assert len(found) > 1
    assert all(
        part.of(params)[0].is_contiguous(memory_format=torch.channels_last)
        for part in found)


def test_what_is_missing_stays_missing():
    params = [torch.zeros(3000, 700)]

    assert all(part.of([None]) == [None] for part in parts(params))
