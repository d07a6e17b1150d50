"""read_checkpoint opens what MMEngine and torch write."""
import io
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from mmdeepkd.checkpoints import UnsafeCheckpointError, read_checkpoint
from tests.helpers.checkpoint_files import save

MODEL = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
VALUES = {
    'numbers': [1, 2.5, True, None, 3j, 'text', b'\x00\xff', 2**80],
    'containers': ((1, ), [2], {3}, frozenset([4]), deque([5], 6), {7: 8},
                   slice(1, 2), range(3), bytearray(b'9')),
    'ordered': OrderedDict(b=1, a=2),
    'counter': Counter([1, 1, 'x']),
    'torch': [torch.float16, torch.Size([1, 2]), torch.device('cpu'),
              torch.strided],
    'numpy scalars': [np.float64(1.5), np.float32(2), np.int64(3),
                      np.bool_(True), np.str_('word')],
}
TENSORS = {
    'dense': torch.arange(6.).reshape(2, 3).t(),
    'half': torch.ones(2, dtype=torch.bfloat16),
    'complex': torch.ones(2, dtype=torch.complex64),
    'bool': torch.tensor([True, False]),
    'empty': torch.zeros(0, 3),
    'scalar': torch.tensor(5),
    'parameter': torch.nn.Parameter(torch.ones(3)),
    'sparse': torch.eye(3).to_sparse(),
    'quantized': torch.quantize_per_tensor(
        torch.ones(2), 0.1, 0, torch.qint8),
    'shared': torch.arange(10)[::3],
}
ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.arange(6, dtype='>i2'),
    np.zeros((0, 2)),
    np.array(['ab', 'c']),
    np.float32([[1, 2]]).T,
    np.array(5, np.uint32),
]
LEGACY = pytest.mark.parametrize('legacy', [False, True])


@LEGACY
@pytest.mark.parametrize('name', VALUES)
def test_plain_values_come_back(tmp_path, name, legacy):
    value = read_checkpoint(save(tmp_path / 'x.pth', VALUES[name], legacy))

    assert value == VALUES[name]
    assert repr(value) == repr(VALUES[name])


@LEGACY
@pytest.mark.parametrize('name', TENSORS)
def test_tensors_come_back(tmp_path, name, legacy):
    value = read_checkpoint(save(tmp_path / 'x.pth', TENSORS[name], legacy))
    expected = TENSORS[name]

    assert type(value) is type(expected) and value.dtype == expected.dtype
    assert value.requires_grad == expected.requires_grad
    if name == 'quantized':
        value, expected = value.dequantize(), expected.dequantize()
    assert torch.equal(value.to_dense(), expected.to_dense())


@LEGACY
@pytest.mark.parametrize('array', ARRAYS, ids=lambda a: a.dtype.str)
def test_arrays_come_back(tmp_path, array, legacy):
    value = read_checkpoint(save(tmp_path / 'x.pth', array, legacy))

    assert value.dtype.kind == array.dtype.kind
    assert value.shape == array.shape
    assert value.tolist() == array.tolist()


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_every_protocol_is_read(tmp_path, protocol):
    saved = dict(a=np.float32([[1, 2], [3, 4]]).T, n=np.int64(3), s={1},
                 t=torch.ones(2), h=HistoryBuffer([1.], [1]), b=b'x')
    torch.save(saved, tmp_path / 'x.pth', pickle_protocol=protocol)
    loaded = read_checkpoint(tmp_path / 'x.pth')
    loaded['a'][0, 0] = 1

    assert loaded['a'].tolist() == [[1, 3], [2, 4]]
    assert (loaded['n'], loaded['s'], loaded['b']) == (3, {1}, b'x')
    assert loaded['h'].mean() == 1 and torch.equal(loaded['t'], saved['t'])


@LEGACY
@pytest.mark.parametrize('value, plain', [
    (torch.__version__, str(torch.__version__)),
    (defaultdict(list, a=[1]), dict(a=[1])),
    (PurePosixPath('/a/b.pth'), '/a/b.pth'), (PurePosixPath(), '.'),
    (PureWindowsPath('c:/a/b.pth'), 'c:\\a\\b.pth'),
], ids=repr)
def test_what_has_a_plain_form_comes_back_in_it(tmp_path, value, plain,
                                                legacy):
    loaded = read_checkpoint(save(tmp_path / 'x.pth', [value], legacy))

    assert loaded == [plain] and type(loaded[0]) is type(plain)


@LEGACY
@pytest.mark.parametrize('tensor', [
    torch.ones(3), torch.nn.Parameter(torch.ones(3))
], ids=lambda tensor: type(tensor).__name__)
def test_attributes_of_a_tensor_come_back(tmp_path, tensor, legacy):
    # As nn.Buffer has them.
    tensor = tensor.clone() if type(tensor) is torch.Tensor else tensor
    tensor.persistent, tensor._is_buffer = True, [1]
    value = read_checkpoint(save(tmp_path / 'x.pth', tensor, legacy))

    assert type(value) is type(tensor) and torch.equal(value, tensor)
    assert value.persistent is True and value._is_buffer == [1]


@LEGACY
def test_a_log_history_comes_back(tmp_path, legacy):
    history = HistoryBuffer([1., 2., 6.], [1, 1, 1], max_length=50)
    loaded = read_checkpoint(save(tmp_path / 'x.pth', history, legacy))
    loaded.update(7.)

    assert loaded.data[0].tolist() == [1., 2., 6., 7.]
    assert loaded.max_length == 50
    assert loaded.statistics('mean', 2) == 6.5


@LEGACY
def test_a_state_dict_comes_back_with_its_metadata(tmp_path, legacy):
    state = MODEL.state_dict()
    loaded = read_checkpoint(save(tmp_path / 'x.pth', state, legacy))

    assert type(loaded) is OrderedDict
    assert loaded._metadata == state._metadata
    assert loaded._metadata['1']['version'] == 2
    assert all(torch.equal(loaded[key], state[key]) for key in state)


def test_a_buffer_is_read_like_a_file():
    buffer = io.BytesIO()
    torch.save(MODEL.state_dict(), buffer)
    buffer.seek(0)

    assert set(read_checkpoint(buffer)) == set(MODEL.state_dict())


def test_tensors_go_where_they_are_asked_to(tmp_path):
    path = save(tmp_path / 'x.pth', torch.ones(2))

    assert read_checkpoint(path, map_location='meta').is_meta


def test_mmengine_reads_local_files_with_it(tmp_path):
    path = str(save(tmp_path / 'x.pth', VALUES['counter']))
    unsafe = str(save(tmp_path / 'y.pth', torch.nn.Linear(1, 1)))

    assert CheckpointLoader.load_checkpoint(path) == VALUES['counter']
    with pytest.raises(UnsafeCheckpointError, match='Linear'):
        CheckpointLoader.load_checkpoint(unsafe)


def test_mmengine_finds_a_file_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save(dict(x=torch.ones(2)), tmp_path / 'x.pth')

    assert CheckpointLoader.load_checkpoint('~/x.pth')['x'].sum() == 2
