"""read_checkpoint runs nothing that a file asks for."""
import argparse
import builtins
import codecs
import collections
import os
import pickle
import subprocess
import zipfile

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from mmdeepkd.checkpoints import UnsafeCheckpointError, read_checkpoint
from tests.helpers.checkpoint_files import (
    Call,
    save,
    save_hidden_torchscript,
    save_pickle,
)

LEGACY = pytest.mark.parametrize('legacy', [False, True])
PROTOCOL = pytest.mark.parametrize('protocol', [0, 2, 4])
HISTORY = b'cmmengine.logging.history_buffer\nHistoryBuffer\n'


def string(text):
    return b'X' + len(text).to_bytes(4, 'little') + text.encode()


def refuse(path, message):
    with pytest.raises(UnsafeCheckpointError) as caught:
        read_checkpoint(path)
    assert f'{path} was not loaded: it ' in str(caught.value)
    assert message in str(caught.value)


@LEGACY
@pytest.mark.parametrize('wrap', [
    lambda payload: payload,
    lambda payload: dict(state_dict={}, meta=[dict(a=(1, [payload]))]),
    lambda payload: collections.OrderedDict(x=torch.ones(1), y=payload),
    lambda payload: {payload: 1},
    lambda payload: HistoryBuffer([payload], [1]),
], ids=['bare', 'nested', 'last', 'key', 'history'])
def test_a_command_is_not_run(tmp_path, wrap, legacy):
    marker = tmp_path / 'ran'
    payload = Call(os.system, f'touch {marker}')
    path = save(tmp_path / 'x.pth', wrap(payload), legacy)

    refuse(path, 'asks for ')
    assert not marker.exists()
    # The file is as dangerous as it claims.
    torch.load(path, weights_only=False)
    assert marker.exists()


@PROTOCOL
@pytest.mark.parametrize('function, args', [
    (os.system, ('true', )),
    (builtins.eval, ('1', )),
    (builtins.exec, ('1', )),
    (builtins.__import__, ('os', )),
    (builtins.open, ('/dev/null', )),
    (builtins.setattr, (1, 'a', 1)),
    (subprocess.Popen, ('true', )),
    (torch.load, ('x', )),
    (torch.hub.load, ('x', 'y')),
    (torch.storage._load_from_bytes, (b'x', )),
    (torch._utils._import_dotted_name, ('os.system', )),
    (pickle.loads, (b'N.', )),
    (codecs.decode, ('x', 'rot13')),
    (Config.fromfile, ('x.py', )),
    (np.load, ('x', )),
], ids=lambda value: getattr(value, '__name__', ''))
def test_a_function_is_named(tmp_path, protocol, function, args):
    pickled = pickle.dumps(Call(function, *args), protocol)

    refuse(save_pickle(tmp_path / 'x.pth', pickled), 'it asks for ')


@pytest.mark.parametrize('value, message', [
    (torch.nn.Linear(1, 1), 'torch.nn.modules.linear.Linear'),
    (argparse.Namespace(a=1), 'argparse.Namespace'),
    (np.array([object()]), "the numpy dtype 'O8'"),
    (np.zeros(1, [('a', 'i4')]), "the numpy dtype 'V4'"),
    (np.datetime64('2020'), "the numpy dtype 'M8'"),
    (Call(codecs.encode, 'x', 'zlib_codec'), "the codec 'zlib_codec'"),
])
@LEGACY
def test_an_object_is_named(tmp_path, value, message, legacy):
    refuse(save(tmp_path / 'x.pth', value, legacy), f'it asks for {message}')


@pytest.mark.parametrize('value', [
    Call(getattr, HistoryBuffer, '__init__'),
    Call(getattr, HistoryBuffer, '__globals__'),
    Call(getattr, Call(getattr, HistoryBuffer, 'mean'), '__globals__'),
    Call(getattr, collections.Counter, 'update'),
    Call(getattr, 'text', 'format'),
])
@LEGACY
def test_getattr_reaches_nothing(tmp_path, value, legacy):
    refuse(save(tmp_path / 'x.pth', value, legacy), 'asks for the attribute')


@pytest.mark.parametrize('name', [
    'UntypedStorage.from_file', 'io.BytesIO', 'os.system', '__builtins__'
])
def test_a_dotted_name_reaches_nothing(tmp_path, name):
    # Protocol 4 walks dotted names.
    pickled = (b'\x80\x04' + string('torch.storage') + string(name) +
               b'\x93' + b'.')

    refuse(save_pickle(tmp_path / 'x.pth', pickled),
           f'asks for torch.storage.{name}')


@pytest.mark.parametrize('target, named', [
    (HISTORY, 'HistoryBuffer'),
    (b'ccollections\nCounter\n', 'collections.Counter'),
    (b'ctorch.nn.parameter\nParameter\n', 'Parameter'),
    (b'ctorch._utils\n_rebuild_tensor_v2\n', 'builtins.function'),
    (b'cbuiltins\ngetattr\n', 'builtins.function'),
    (b'ctorch\nUntypedStorage\n', 'UntypedStorage'),
    (b'ctorch\nfloat32\n', 'torch.dtype'),
])
@pytest.mark.parametrize('slots', [True, False])
@LEGACY
def test_classes_and_functions_cannot_be_changed(tmp_path, target, named,
                                                 slots, legacy):
    state = b'}' + string('mean') + string('changed') + b's'
    if slots:
        state = b'N' + state + b'\x86'
    path = save_pickle(
        tmp_path / 'x.pth', b'\x80\x02' + target + state + b'b.', legacy)

    refuse(path, 'sets attributes of ')
    assert named in str(pytest.raises(
        UnsafeCheckpointError, read_checkpoint, path).value)
    assert callable(HistoryBuffer.mean)


def history_state(**fields):
    return dict(
        max_length=10, _log_history=np.ones(1), _count_history=np.ones(1),
        **fields)


def test_a_history_cannot_change_the_statistics_of_all(tmp_path):
    value = Call(HistoryBuffer, state=history_state(
        statistics_methods=dict(mean=bytearray), extra=bytearray,
        update=bytearray))
    before = dict(HistoryBuffer._statistics_methods)
    loaded = read_checkpoint(save(tmp_path / 'x.pth', value))

    assert HistoryBuffer._statistics_methods == before
    assert loaded.statistics('mean') == 1
    assert set(vars(loaded)) == {
        'max_length', '_log_history', '_count_history'
    }


def test_a_dtype_cannot_change_that_of_numpy(tmp_path):
    state = (3, '>', None, None, None, -1, -1, 0)
    # Without a copy this would be the float64 of the whole process.
    value = Call(np.dtype, 'f8', False, False, state=state)
    loaded = read_checkpoint(save(tmp_path / 'x.pth', value))

    assert loaded == np.dtype('>f8')
    assert np.dtype('f8').byteorder == '='


def test_a_dtype_cannot_become_a_record(tmp_path):
    state = (3, '|', None, ('a', ), dict(a=(np.dtype('i4'), 0)), 4, 1, 0)
    value = Call(np.dtype, 'S4', False, True, state=state)

    refuse(save(tmp_path / 'x.pth', value),
           "it asks for another numpy dtype in the place of '|S4'")


def test_a_hidden_torchscript_archive_deceives_zipfile_only(tmp_path):
    path = save_hidden_torchscript(tmp_path / 'x.pt')
    names = zipfile.ZipFile(path).namelist()

    assert not any(name.endswith('/constants.pkl') for name in names)
    assert isinstance(torch.jit.load(str(path)), torch.jit.ScriptModule)
