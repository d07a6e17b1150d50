"""Which map of the teacher teaches which map of the student."""
import re

import pytest

from mmdeepkd.distillers import MapInfo, Place, match_levels

# Feature pyramids of Faster R-CNN and RetinaNet; a backbone's stages.
FASTER = [MapInfo(16, s) for s in (4., 8., 16., 32., 64.)]
RETINA = [MapInfo(24, s) for s in (8., 16., 32., 64., 128.)]
STAGES = [MapInfo(c, s) for c, s in ((4, 4.), (8, 8.), (16, 16.))]
OTHERS = [MapInfo(5, 3.), MapInfo(7, 6.)]


def indices(places):
    return [(p.student, p.teacher) for p in places]


def test_the_last_maps_by_default():
    assert match_levels(None, STAGES, OTHERS, 'last') == [
        Place('map', 2, 1, 16, 7)]


@pytest.mark.parametrize('levels, pairs', [
    ([0], [(0, 0)]),
    ([-1, -2], [(2, 1), (1, 0)]),
    ([(0, 1), [2, 0]], [(0, 1), (2, 0)]),
    ([(-3, -1), 1], [(0, 1), (1, 1)]),
], ids=str)
def test_an_index_stands_for_the_same_one_in_both(levels, pairs):
    assert indices(match_levels(levels, STAGES, OTHERS, 'last')) == pairs


def test_every_stride_that_both_have():
    assert match_levels(None, FASTER, RETINA, 'strides') == [
        Place('level1', 1, 0, 16, 24), Place('level2', 2, 1, 16, 24),
        Place('level3', 3, 2, 16, 24), Place('level4', 4, 3, 16, 24)]
    assert indices(match_levels(None, RETINA, FASTER, 'strides')) == [
        (0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize('levels, pairs', [
    ([1, -1], [(1, 0), (4, 3)]),
    ([(0, 0), 2], [(0, 0), (2, 1)]),
], ids=str)
def test_an_index_stands_for_the_map_of_its_stride(levels, pairs):
    assert indices(match_levels(levels, FASTER, RETINA, 'strides')) == pairs


@pytest.mark.parametrize('levels, default, message', [
    ([3], 'last', 'levels names the map 3 of the student, which has 3: choose '
     'from -3 to 2'),
    ([2], 'last', 'levels names the map 2 of the teacher, which has 2: choose '
     'from -2 to 1'),
    ([(0, -3)], 'last', 'levels names the map -3 of the teacher'),
    ([0, (-3, 1)], 'last', 'levels names the map 0 of the student twice: name '
     'each of its maps once'),
    ([0], 'strides', 'the map 0 of the student has the stride 4, which no map '
     "of the teacher has (3, 6): name the teacher's too, "
     'levels=[(0, 0), ...]'),
    (None, 'strides', 'no map of the student has the stride of one of the '
     'teacher (student 4, 8, 16, teacher 3, 6): pair them by index, '
     'levels=[(0, 1), ...]'),
], ids=str)
def test_levels_that_cannot_be(levels, default, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        match_levels(levels, STAGES, OTHERS, default)
