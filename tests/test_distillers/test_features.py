"""What a feature loss gives, under its names, and its trainable modules."""
import re
from collections import namedtuple

import pytest
import torch
from torch import nn

from mmdeepkd.distillers import Place, pair_maps
from mmdeepkd.distillers.features import (
    adapter_name,
    build_adapters,
    feature_losses,
)
from mmdeepkd.distillers.stream_losses import build_loss

Terms = namedtuple('Terms', ['losses', 'values'])


class Gap(nn.Module):
    """Its terms tell the adapter, the features and the place apart."""

    streams = ('feature', )
    needs_adapter = True

    def build_adapter(self, student_channels, teacher_channels):
        return nn.Linear(student_channels, teacher_channels)

    def forward(self, adapter, feature_student, feature_teacher, place):
        difference = feature_student - feature_teacher
        return Terms({
            '': difference.sum(),
            'diffusion': torch.tensor(float(adapter.in_features)),
            'autoencoder': torch.tensor(float(len(place)))
        }, {'gamma': feature_teacher.sum()})


PLACES = [Place('map', 2, 0, 3, 4), Place('level10', 0, 1, 5, 6)]


def numbers(losses):
    return {name: float(value) for name, value in losses.items()}


def features(count):
    return {
        place.name: (torch.tensor(10. + i), torch.tensor(1. + i))
        for i, place in enumerate(PLACES[:count])
    }


def test_one_place_has_no_suffix():
    loss = Gap()
    losses = feature_losses('loss_gap', loss, build_adapters(loss, PLACES),
                            features(1))

    assert numbers(losses) == {
        'feature.loss_gap': 9, 'feature.loss_gap_diffusion': 3,
        'feature.loss_gap_autoencoder': 3, 'gap_gamma': 1}


def test_of_several_places_only_the_matching_is_apart():
    loss = Gap()
    losses = feature_losses('loss_gap_1', loss, build_adapters(loss, PLACES),
                            features(2))

    assert numbers(losses) == {
        'feature.loss_gap_1_map': 9, 'feature.loss_gap_1_level10': 9,
        'feature.loss_gap_1_diffusion': 8,
        'feature.loss_gap_1_autoencoder': 10,
        'gap_1_gamma_map': 1, 'gap_1_gamma_level10': 2}


def test_adapters_have_the_channels_of_their_place():
    adapters = build_adapters(Gap(), PLACES)

    assert {name: (a.in_features, a.out_features)
            for name, a in adapters.items()} == dict(
                map=(3, 4), level10=(5, 6))
    assert adapter_name('loss_gap_1') == 'gap_1'


def test_maps_are_paired_by_index():
    assert pair_maps(PLACES, ['a', 'b', 'c'], ['x', 'y']) == dict(
        map=('c', 'x'), level10=('a', 'y'))


@pytest.mark.parametrize('what, more', [
    ('maps', ', or leave small levels out with levels=[...].'),
    ('logits', '.')])
def test_a_batch_norm_of_an_adapter_is_explained(what, more):
    class Normed(Gap):
        reads = what

        def forward(self, adapter, feature_student, feature_teacher, place):
            return nn.BatchNorm2d(2)(torch.zeros(1, 2, 1, 1))

    with pytest.raises(ValueError, match=(
            'a BatchNorm of Normed got a single value per channel.*'
            'set drop_last=True in train_dataloader.* larger batches or '
            f'images{re.escape(more)}$')):
        feature_losses('loss_gap', Normed(), build_adapters(Gap(), PLACES),
                       features(1))


@pytest.mark.parametrize('names', [('feature', 'other'), 'feature'])
def test_more_than_one_stream(names):
    class Streams(Gap):
        streams = names

    with pytest.raises(ValueError, match=(
            f'^Streams has the streams {re.escape(repr(names))}, but all '
            'terms of a loss on features are one stream: set streams to '
            r"one name in a tuple, such as \('feature', \)")):
        build_loss(dict(type=Streams))
