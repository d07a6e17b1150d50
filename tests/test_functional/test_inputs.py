"""Wrong inputs are refused by name, with the fix."""
import pytest
import torch

from mmdeepkd.functional import (
    dist_distances,
    dkd_divergences,
    gdkd3_divergences,
    gdkd_divergences,
    kd_divergence,
    ls_gdkd_divergences,
    standardize_logits,
    top_group_masses,
    topk_keep_mask,
)

LOGITS = torch.zeros(3, 5)
TARGET = torch.tensor([0, 1, 4])


def both(student, teacher, temperature=4.0):
    """Return every function of a pair of logits, as thunks."""
    pair = student, teacher
    return [
        lambda: kd_divergence(*pair, temperature),
        lambda: dkd_divergences(*pair, TARGET, temperature),
        lambda: gdkd_divergences(*pair, temperature, 2),
        lambda: gdkd3_divergences(*pair, temperature, 2),
        lambda: ls_gdkd_divergences(*pair, temperature, 2, 'both'),
        lambda: dist_distances(*pair, temperature),
    ]


def on_target(target):
    """Return every function that takes a target, as thunks."""
    return [
        lambda: dkd_divergences(LOGITS, LOGITS, target, 4.0),
        lambda: topk_keep_mask(LOGITS, target, 2),
    ]


def assert_raises(calls, error, message):
    for call in calls:
        with pytest.raises(error, match=message):
            call()


def test_one_class_column_raises():
    one = torch.zeros(3, 1)
    calls = [
        *both(one, one), lambda: standardize_logits(one),
        lambda: topk_keep_mask(one, torch.zeros(3, dtype=torch.int64), 1),
        lambda: top_group_masses(one, 4.0, 1)
    ]

    assert_raises(calls, ValueError, 'has 1 class columns but .* at least 2')


def test_logits_must_be_rows_by_classes():
    maps = torch.zeros(2, 5, 4, 4)

    assert_raises(
        both(maps, maps), ValueError,
        r'logits_student has shape \(2, 5, 4, 4\) but must be \(N, C\)')
    assert_raises([lambda: standardize_logits(maps)], ValueError,
                  r'logits has shape \(2, 5, 4, 4\)')


def test_logits_must_be_floating():
    assert_raises(
        both(LOGITS, LOGITS.long()), TypeError,
        'logits_teacher has dtype torch.int64 but must be floating')


@pytest.mark.parametrize('shape', [(3, 6), (4, 5), (1, 5)])
def test_both_logits_need_one_shape(shape):
    assert_raises(
        both(LOGITS, torch.zeros(shape)), ValueError,
        r'logits_student has shape \(3, 5\) and logits_teacher '
        rf'\({shape[0]}, {shape[1]}\)')


@pytest.mark.parametrize('temperature',
                         [0.0, -1.0, float('nan'), float('inf')])
def test_temperature_must_be_positive(temperature):
    assert_raises(
        [*both(LOGITS, LOGITS, temperature),
         lambda: top_group_masses(LOGITS, temperature, 2)], ValueError,
        f'temperature is {temperature} but must be positive and finite')


@pytest.mark.parametrize('dtype', [torch.int32, torch.float32, torch.bool])
def test_target_must_be_int64(dtype):
    assert_raises(
        on_target(TARGET.to(dtype)), TypeError,
        f'target has dtype {dtype} but must be int64')


@pytest.mark.parametrize('shape', [(3, 1), (2, ), ()])
def test_target_must_be_one_index_per_row(shape):
    assert_raises(
        on_target(torch.zeros(shape, dtype=torch.int64)), ValueError,
        r'target has shape .* but must be \(3,\)')


@pytest.mark.parametrize('label', [-1, 5, 255])
def test_target_must_be_a_column(label):
    assert_raises(
        on_target(torch.tensor([0, label, 4])), ValueError,
        f'target holds class {label} but the logits have columns 0 to 4')


def test_keep_must_be_bool():
    with pytest.raises(TypeError, match='keep has dtype .* must be bool'):
        dkd_divergences(LOGITS, LOGITS, TARGET, 4.0, keep=torch.ones(3, 5))


def test_keep_must_cover_the_logits():
    with pytest.raises(ValueError, match=r'keep has shape \(1, 5\) but'):
        dkd_divergences(
            LOGITS,
            LOGITS,
            TARGET,
            4.0,
            keep=torch.ones(1, 5, dtype=torch.bool))
