"""MMEngine's state as data, and back."""
import enum
from collections import Counter, OrderedDict, namedtuple

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

from mmdeepkd.checkpoints import decode_state, encode_state, read_checkpoint

Pair = namedtuple('Pair', 'a b')


class Level(enum.IntEnum):
    LOW = 1


class Word(str):
    pass


def mmengine_checkpoint():
    module = torch.nn.Sequential(torch.nn.Linear(2, 2),
                                 torch.nn.BatchNorm1d(2))
    return dict(
        meta=dict(epoch=1, iter=np.int64(3), seed=None,
                  cfg=ConfigDict(lr=0.1), dataset_meta=dict(a=('x', 'y'))),
        state_dict=module.state_dict(),
        message_hub=dict(
            log_scalars=OrderedDict(loss=HistoryBuffer([1.5, 2.5], [1, 1])),
            runtime_info=OrderedDict(iter=3, best=np.float32(0.5)),
            resumed_keys=OrderedDict(loss=True)),
        optimizer=dict(state={0: dict(task_momentum_buffer=torch.ones(2))},
                       param_groups=[dict(lr=0.1, offsets=dict(task=0.05))]),
        param_schedulers=[dict(milestones=Counter([5, 7, 7]), gamma=0.1)],
        random=('MT19937', np.arange(624, dtype=np.uint32), 7, 0, 0.5))


def through_a_file(value, tmp_path, **kwargs):
    """Save encoded; load on torch's safe default; decode."""
    encoded, unknown = encode_state(value)
    path = tmp_path / 'x.pth'
    torch.save(encoded, path)
    assert unknown == []
    return decode_state(torch.load(path, weights_only=True, **kwargs))


def test_a_checkpoint_of_mmengine_opens_on_torchs_safe_default(tmp_path):
    saved = mmengine_checkpoint()
    loaded = through_a_file(saved, tmp_path)
    old, new = (c['message_hub'].pop('log_scalars') for c in (saved, loaded))
    states = saved.pop('state_dict'), loaded.pop('state_dict')
    randoms = saved.pop('random'), loaded.pop('random')
    buffers = [c.pop('optimizer') for c in (saved, loaded)]

    assert saved == loaded
    # Plain MMEngine, which decodes nothing, must find its milestones too.
    assert type(loaded['param_schedulers'][0]['milestones']) is dict
    assert type(new['loss']) is HistoryBuffer
    assert new['loss'].data[0].tolist() == old['loss'].data[0].tolist()
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert randoms[1][1].dtype == np.uint32
    assert randoms[0][1].tolist() == randoms[1][1].tolist()
    assert randoms[0][2:] == randoms[1][2:]
    assert buffers[0]['param_groups'] == buffers[1]['param_groups']


def test_our_own_reader_opens_it_too(tmp_path):
    encoded, _ = encode_state(mmengine_checkpoint())
    torch.save(encoded, tmp_path / 'x.pth')
    loaded = decode_state(read_checkpoint(tmp_path / 'x.pth'))

    assert loaded['message_hub']['log_scalars']['loss'].mean() == 2.


def test_the_metadata_of_a_state_dict_is_kept(tmp_path):
    saved = mmengine_checkpoint()
    loaded = through_a_file(saved, tmp_path)['state_dict']

    assert loaded._metadata == saved['state_dict']._metadata
    assert loaded._metadata['1'] == dict(version=2)


def test_the_checkpoint_itself_is_not_modified():
    saved = mmengine_checkpoint()
    encode_state(saved)

    assert type(saved['param_schedulers'][0]['milestones']) is Counter
    assert type(saved['meta']['iter']) is np.int64
    assert type(saved['message_hub']['log_scalars']['loss']) is HistoryBuffer


@pytest.mark.parametrize('history', [
    HistoryBuffer(), HistoryBuffer([1, 2], [1, 3]),
    HistoryBuffer([1.5] * 8, [1] * 8, max_length=8)
])
def test_a_history_comes_back(tmp_path, history):
    loaded = through_a_file(history, tmp_path)
    history.update(2.)
    loaded.update(2.)

    for old, new in zip(history.data, loaded.data):
        assert new.dtype == old.dtype and new.tolist() == old.tolist()
    assert loaded.max_length == history.max_length
    assert loaded.mean() == history.mean()


@pytest.mark.parametrize('array', [
    np.arange(6.).reshape(2, 3)[:, ::-1], np.zeros((0, 2), np.float32),
    np.array(3), np.array([1 + 2j]), np.array([True]), np.array(['ab', 'c']),
    np.arange(3, dtype='>u4'), np.arange(3, dtype=np.longdouble),
    np.array([b'x', b'yz'])
], ids=lambda array: f'{array.dtype.str}{array.shape}')
def test_an_array_comes_back(tmp_path, array):
    loaded = through_a_file(array, tmp_path)

    assert loaded.dtype == array.dtype and loaded.shape == array.shape
    assert loaded.tolist() == array.tolist()
    assert loaded.flags.writeable


@pytest.mark.parametrize('value', [
    np.float64(0.1), np.float32(0.5), np.int64(2), np.bool_(True),
    np.str_('x')
])
def test_a_numpy_scalar_becomes_pythons(tmp_path, value):
    loaded = through_a_file({value: [value]}, tmp_path)

    assert loaded == {value.item(): [value.item()]}
    assert type(loaded[value.item()][0]) is type(value.item())


@pytest.mark.parametrize('value', [np.bytes_(b'x'), np.complex64(1 + 2j)])
def test_a_numpy_scalar_that_torch_21_refuses(tmp_path, value):
    (loaded, ) = through_a_file([value], tmp_path)

    assert loaded == value and type(loaded) is type(value.item())


def test_histories_may_have_been_moved_to_another_device():
    class OnDevice:
        """A tensor that numpy cannot read where it is."""

        def __init__(self, tensor):
            self.cpu = tensor.clone

    encoded, _ = encode_state(dict(
        history=HistoryBuffer([1.5], [1]), array=np.arange(3)))
    for fields in (encoded['history']['history'],
                   encoded['history']['counts'], encoded['array']):
        fields['bytes'] = OnDevice(fields['bytes'])
    decoded = decode_state(encoded)

    assert decoded['history'].current() == 1.5
    assert decoded['array'].tolist() == [0, 1, 2]


@pytest.mark.parametrize('value, name', [
    (torch.nn.ReLU(), 'ReLU'), (Pair(1, 2), 'Pair'), ({1, 2}, 'set'),
    (Level.LOW, 'Level'), (Word('x'), 'Word'), (len, 'builtin_function'),
    (np.array([None]), 'ndarray'), (np.datetime64('2020'), 'datetime64'),
    (np.longdouble(1), 'longdouble')
], ids=str)
def test_an_unknown_object_is_reported_with_its_place(value, name):
    encoded, unknown = encode_state(dict(meta=dict(x=[1, value])))

    assert len(unknown) == 1
    assert unknown[0].startswith(f'meta.x[1]: {name}')
    assert encoded['meta']['x'][1] is value


@pytest.mark.parametrize('value', [
    None, True, 1, 1.5, 'x', torch.Size([1]), torch.float16,
    (1, [2, {'a': (3, )}]), {1: {2: 3}}
], ids=str)
def test_plain_values_stay_as_they_are(tmp_path, value):
    loaded = through_a_file(value, tmp_path)

    assert encode_state(value) == (value, [])
    assert loaded == value and type(loaded) is type(value)


@pytest.mark.parametrize('value', [
    b'y', b'', 1 - 2j, torch.device('cpu'), torch.device('cuda:1')
], ids=str)
def test_what_torch_21_refuses_comes_back(tmp_path, value):
    loaded = through_a_file(dict(a=[value]), tmp_path)

    assert loaded == dict(a=[value])


def test_what_was_never_encoded_passes():
    value = mmengine_checkpoint()['message_hub']
    decoded = decode_state(value)

    assert decoded['log_scalars']['loss'] is value['log_scalars']['loss']
    assert decoded['runtime_info'] == value['runtime_info']
