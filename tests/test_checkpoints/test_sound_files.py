"""Where the machine, not the file, is at fault, that is said."""
import zipfile

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmdeepkd.checkpoints import read_checkpoint
from tests.helpers.checkpoint_files import save

LEGACY = pytest.mark.parametrize('legacy', [False, True])


def cuda_file(path):
    """A tensor as torch saves it from a GPU, written without one."""
    save(path, torch.ones(1))
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith('data.pkl'))
        pickled = archive.read(name)
    cpu, cuda = (b'X' + len(device).to_bytes(4, 'little') + device
                 for device in (b'cpu', b'cuda:7'))
    assert cpu in pickled
    writer = torch._C.PyTorchFileWriter(str(path))
    pickled = pickled.replace(cpu, cuda)
    writer.write_record('data.pkl', pickled, len(pickled))
    writer.write_record('data/0', bytes(4), 4)
    writer.write_end_of_file()
    return path


def test_a_file_of_a_device_that_is_not_there(tmp_path):
    path = cuda_file(tmp_path / 'x.pth')

    assert read_checkpoint(path).device.type == 'cpu'
    with pytest.raises(RuntimeError, match=(
            f'{path} holds tensors of a device that this machine does not '
            "have: load it with map_location='cpu'")):
        CheckpointLoader.load_checkpoint(str(path))


def test_a_full_gpu_is_not_called_a_damaged_file(tmp_path):

    def fill(storage, location):
        raise torch.cuda.OutOfMemoryError('CUDA out of memory.')

    path = save(tmp_path / 'x.pth', torch.ones(1))
    with pytest.raises(torch.cuda.OutOfMemoryError, match='^CUDA out of mem'):
        read_checkpoint(path, map_location=fill)


def python_has_none(storage, location):
    raise MemoryError


def torch_has_none(storage, location):
    return torch.UntypedStorage(1 << 60)


@pytest.mark.parametrize('fill', [python_has_none, torch_has_none])
def test_a_full_memory_is_not_called_a_damaged_file(tmp_path, fill):
    path = save(tmp_path / 'x.pth', torch.ones(1))
    with pytest.raises(MemoryError, match=(
            f'^{path} needs more memory than there is, or is damaged: free')):
        read_checkpoint(path, map_location=fill)


@LEGACY
@pytest.mark.parametrize('setting', ['1', 'TRUE', 'yes'])
def test_a_setting_of_torch_that_forbids_our_reader_is_named(
        tmp_path, monkeypatch, setting, legacy):
    path = save(tmp_path / 'x.pth', torch.ones(1), legacy)
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', setting)
    with pytest.raises(RuntimeError, match=(
            f'^{path} was not read: the environment variable TORCH_FORCE_WEIG'
            'HTS_ONLY_LOAD forbids mmdeepkd its own reader, .*; unset it.$')):
        read_checkpoint(path)
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0')
    assert read_checkpoint(path).tolist() == [1]
