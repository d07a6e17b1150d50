"""No file makes the reader touch memory that is not the file's.

Without its checks most of these end the process.
"""
import collections
import pickle
import zipfile

import numpy as np
import pytest
import torch

from mmdeepkd.checkpoints import read_checkpoint
from tests.helpers.checkpoint_files import Call, save, save_pickle
from tests.helpers.forked import in_child

LEGACY = pytest.mark.parametrize('legacy', [False, True])
REBUILD_ARRAY = np.empty(0).__reduce__()[0]
# As arrays are pickled by protocol 5.
FROM_BUFFER = np.empty(1).__reduce_ex__(5)[0]
NATIVE = (False, True)


def read_all(path):
    """Read a file, and all that is in it; return what went wrong."""
    value = read_checkpoint(path)['x']
    value = value.to_dense() if hasattr(value, 'to_dense') else value
    return f'was read: {np.asarray(value).tolist()}'


def refuse(path, message):
    text = in_child(read_all, path)
    assert str(path) in text and message in text


def string(text):
    return b'X' + len(text).to_bytes(4, 'little') + text.encode()


def state(order, size, alignment, flags):
    return (3, order, None, None, None, size, alignment, flags)


@pytest.mark.parametrize('code, changed', [
    # Flags: the bytes are pointers to Python objects.
    ('f8', state('<', -1, -1, 63)), ('S8', state('|', 8, 1, 63)),
    ('f8', state('<', -1, -1, 1)),
    # An item reaches beyond the bytes.
    ('S8', state('|', 4096, 1, 0)), ('U2', state('<', 4096, 4, 8)),
    ('f8', state('<', 4096, -1, 0)), ('S8', state('|', 8, 4096, 0)),
    ('S8', state('<', 8, 1, 0)), ('f8', state('?', -1, -1, 0)),
    ('f8', (3, '<')), ('f8', None),
])
@LEGACY
def test_a_dtype_stays_what_its_name_says(tmp_path, code, changed, legacy):
    dtype = Call(np.dtype, code, *NATIVE, state=changed or 'text')
    array = Call(REBUILD_ARRAY, np.ndarray, (0, ), b'b',
                 state=(1, (2, ), dtype, False, b'A' * 16))

    refuse(save(tmp_path / 'x.pth', dict(x=array), legacy),
           'it asks for another numpy dtype in the place of')


def test_a_dtype_that_an_array_has_does_not_grow(tmp_path):
    dtype, raw = np.dtype('S8', copy=True), b'A' * 16
    grown = Call(np.dtype, 'S8', *NATIVE)
    array = Call(REBUILD_ARRAY, np.ndarray, (0, ), b'b',
                 state=(1, (2, ), grown, False, raw))
    pickled = pickle.dumps(dict(x=array, y=grown), 2)
    # BUILD of the dtype from the memo, when the array is there.
    at = pickled.index(b'X\x01\x00\x00\x00y') + 8
    get = pickled[at:at + 2]
    assert get[:1] == b'h' and dtype.itemsize == 8
    pickled = (pickled[:at + 2] + pickle.dumps(
        state('|', 1 << 20, 1, 0), 2)[2:-1] + b'b' + pickled[at + 2:])

    refuse(save_pickle(tmp_path / 'x.pth', pickled),
           'it asks for another numpy dtype')


@pytest.mark.parametrize('code', [
    'O', 'O8', 'i4,O', 'M8', '(2,)f8', ['a', 'O'], dict(names=[], formats=[]),
    None
], ids=str)
def test_a_dtype_of_anything_else_is_refused(tmp_path, code):
    path = save(tmp_path / 'x.pth', dict(x=Call(np.dtype, code)))

    refuse(path, f'it asks for the numpy dtype {code!r}')


@pytest.mark.parametrize('shape, raw', [
    ((3, ), b'A' * 16), ((-1, -2), b'A' * 16), ((True, 2), b'A' * 16),
    ((2, ), [1, 2]), ((2, ), 'A' * 16), ((2**63, 2), b'A' * 16)
], ids=str)
@pytest.mark.parametrize('buffer', [True, False])
def test_an_array_has_the_bytes_of_its_shape(tmp_path, shape, raw, buffer):
    dtype = np.dtype('f8')
    array = Call(REBUILD_ARRAY, np.ndarray, (0, ), b'b',
                 state=(1, shape, dtype, False, raw))
    if buffer:
        array = Call(FROM_BUFFER, raw, dtype, shape, 'C')

    refuse(save(tmp_path / 'x.pth', dict(x=array)), 'it asks for a numpy arr')


@pytest.mark.parametrize('target, item', [
    (np.zeros(2), 's'), (np.zeros(2), 'u'), (torch.zeros(2), 's'),
    (torch.zeros(2), 'u'), (bytearray(8), 's'), (bytearray(8), 'a'),
    (bytearray(8), 'e'), ([1, 2], 's'), (collections.deque([1]), 'u')
], ids=lambda value: getattr(value, 'dtype', value))
def test_items_are_set_of_containers_only(tmp_path, target, item):
    tail = dict(s=b'K\x00K\x01s', u=b'(K\x00K\x01u', a=b'K\x01a',
                e=b'(K\x01e')[item]
    kind = type(target)
    name = f'{kind.__module__}.{kind.__name__}'
    content = save(tmp_path / 'y.pth', target)
    with zipfile.ZipFile(content) as archive:
        records = {n.split('/', 1)[1]: archive.read(n)
                   for n in archive.namelist()}
    records['data.pkl'] = records['data.pkl'][:-1] + tail + b'.'
    path = write_records(tmp_path / 'x.pth', records)

    refuse(path, f'it sets items of {name}')


@pytest.mark.parametrize('call', [
    # A number for the address of an allocator.
    b'ctorch\nUntypedStorage\n)}' + string('allocator') + b'J\x41\x41\x41\x41'
    b's\x92',
    b'(ctorch\nUntypedStorage\nK\x08o', b'(K\x08itorch\nUntypedStorage\n',
    b'ctorch\nUntypedStorage\nK\x08\x85R', b'ctorch\nUntypedStorage\n)\x81',
    b'ctorch.storage\nTypedStorage\n)\x81', b'ctorch\nTensor\nK\x08\x85R',
    b'ccollections\nOrderedDict\n)\x81', string('text') + b')R'
])
def test_storages_and_the_like_are_not_created(tmp_path, call):
    path = save_pickle(
        tmp_path / 'x.pth', b'\x80\x04}' + string('x') + call + b's.')

    refuse(path, 'was not loaded: it c')


def write_records(path, records):
    writer = torch._C.PyTorchFileWriter(str(path))
    for name, content in records.items():
        if name not in ('version', '.data/serialization_id'):
            writer.write_record(name, content, len(content))
    writer.write_end_of_file()
    return path


@pytest.mark.parametrize('left', [0, 64, 3996])
@pytest.mark.parametrize('order', [b'little', b'big'])
def test_a_storage_is_not_larger_than_its_record(tmp_path, left, order):
    save(tmp_path / 'y.pth', dict(x=torch.arange(1000.)))
    with zipfile.ZipFile(tmp_path / 'y.pth') as archive:
        pickled = archive.read(next(
            n for n in archive.namelist() if n.endswith('data.pkl')))
    path = write_records(tmp_path / 'x.pth', {
        'data.pkl': pickled, 'byteorder': order, 'data/0': bytes(left)})

    refuse(path, 'damaged or not written by torch.save: download or save it '
           f'again (a storage has {left} of its 4000 bytes)')


@LEGACY
@pytest.mark.parametrize('offset, size, stride', [
    (0, (11, ), (1, )), (11, (1, ), (1, )), (0, (2, ), (10, )),
    (-1, (2, ), (1, )), (9, (2, ), (-1, )), (0, (-2, ), (1, )),
    (0, (2, ), (1, 1)), (0, (2**40, 2**40), (0, 0)),
    (0, (2**62, 5), (4, 1)), (2**62, (1, ), (1, )), (True, (2, ), (1, )),
], ids=str)
def test_a_tensor_stays_within_its_storage(tmp_path, offset, size, stride,
                                           legacy):
    storage = torch.arange(10.).storage()
    tensor = Call(torch._utils._rebuild_tensor_v2, storage, offset, size,
                  stride, False, collections.OrderedDict())

    refuse(save(tmp_path / 'x.pth', dict(x=tensor), legacy), '(a tensor ')


@LEGACY
def test_the_indices_of_a_sparse_tensor_are_checked(tmp_path, legacy):
    tensor = torch.sparse_coo_tensor(
        torch.tensor([[10**8]]), torch.ones(1), (3, ), check_invariants=False)

    refuse(save(tmp_path / 'x.pth', dict(x=tensor), legacy),
           'size is inconsistent with indices')


@pytest.mark.parametrize('attribute', [
    '__array_interface__', 'data', '_backward_hooks'
])
@pytest.mark.parametrize('kind', [
    collections.OrderedDict, torch.Tensor, torch.nn.Parameter
])
def test_an_attribute_may_not_mean_anything(tmp_path, kind, attribute):
    # Numpy asks an object with __array_interface__ for an address.
    if kind is collections.OrderedDict:
        attribute = attribute.replace('data', 'items').replace('_back', '__')
        value = Call(kind, state={attribute: 1})
    elif kind is torch.Tensor:
        rebuild, args = torch.ones(1).__reduce_ex__(2)
        value = Call(torch._tensor._rebuild_from_type_v2, rebuild, kind, args,
                     {attribute: 1})
    else:
        value = Call(torch._utils._rebuild_parameter_with_state,
                     torch.ones(1), True, {}, {attribute: 1})

    refuse(save(tmp_path / 'x.pth', dict(x=value)),
           f'it sets attributes of {kind.__module__}.{kind.__name__}')
