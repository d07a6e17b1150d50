"""What is marked as encoded may come from anyone: it is checked.

Without the checks some of these end the process.
"""
import numpy as np
import pytest
import torch

from mmdeepkd.checkpoints import (
    decode_state,
    encode_state,
    random_state,
    set_random_state,
)
from tests.helpers.checkpoint_files import save
from tests.helpers.forked import in_child


def decode(value):
    return f'was decoded: {decode_state(dict(meta=[value]))}'


def encoded(**changed):
    return {**encode_state(np.arange(2.))[0], **changed}


@pytest.mark.parametrize('fields', [
    dict(dtype='O', shape=[2]), dict(dtype='O8'), dict(dtype='f8,O'),
    dict(dtype='V8'), dict(dtype=['f8']), dict(dtype=None), dict(dtype='no'),
    dict(shape=[3]), dict(shape=[-2, -1]), dict(shape=[2.]), dict(shape=2),
    dict(shape=[1]), dict(bytes=torch.ones(1)), dict(bytes=b'A' * 16),
    dict(bytes=None),
], ids=str)
def test_an_encoded_array_is_its_bytes(fields):
    text = in_child(decode, encoded(**fields))

    assert text.startswith(
        'UnsafeCheckpointError: the checkpoint is damaged, or not what '
        'mmdeepkd wrote: what it marks as ndarray is none (')


def test_a_history_of_objects_is_refused_in_a_file_that_torch_calls_safe(
        tmp_path):
    history = dict(encoded(dtype='O'), __mmdeepkd__='HistoryBuffer')
    value = dict(__mmdeepkd__='HistoryBuffer', history=history,
                 counts=history, max_length=10)
    save(tmp_path / 'x.pth', value)
    loaded = torch.load(tmp_path / 'x.pth', weights_only=True)

    assert 'marks as HistoryBuffer is none' in in_child(decode, loaded)


@pytest.mark.parametrize('mark', ['Foo', ['ndarray'], None, 1])
def test_an_unknown_mark_is_said(mark):
    assert in_child(decode, dict(__mmdeepkd__=mark)) == (
        f'UnsafeCheckpointError: the checkpoint marks something as {mark!r}, '
        'which this version of mmdeepkd does not know: update mmdeepkd, or '
        'give a checkpoint that it wrote.')


def test_the_states_of_the_generators_are_checked_too():
    state = random_state()
    state['numpy']['state']['key']['dtype'] = 'O'

    assert 'marks as ndarray is none' in in_child(set_random_state, state)
