"""Which checkpoint a run continues from, whatever happened to its folder."""
import os
import shutil

import pytest
import torch

from mmdeepkd.checkpoints import read_checkpoint
from mmdeepkd.engine.files import latest_checkpoint

from .checkpoint_kills import validated
from .test_runner import build


def cut_off(file):
    os.truncate(file, file.stat().st_size // 2)


def trained(folder, epochs=2):
    build(folder, epochs=epochs)[0].train()
    # Their order in time is certain.
    for epoch in range(1, epochs + 1):
        os.utime(folder / f'epoch_{epoch}.pth', (epoch, epoch))
    return folder


@pytest.mark.parametrize('damage, said', [
    (lambda d: cut_off(d / 'epoch_2.pth'), 'epoch_2.pth, which is damaged'),
    (lambda d: (d / 'epoch_2.pth').unlink(), 'which is not there'),
    (lambda d: (d / 'epoch_2.pth').write_bytes(b''), 'which is damaged'),
    (lambda d: ((d / 'last_checkpoint').write_text(''), cut_off(
        d / 'epoch_2.pth')), 'is missing or empty'),
    (lambda d: ((d / 'last_checkpoint').unlink(), cut_off(
        d / 'epoch_2.pth')), 'is missing or empty'),
])
def test_the_newest_whole_checkpoint_takes_its_place(
        tmp_path, monkeypatch, damage, said):
    damage(trained(tmp_path))
    warned = []
    monkeypatch.setattr('mmdeepkd.engine.files.print_log',
                        lambda text, *_: warned.append(text))
    resumed, seen = build(tmp_path, resume=True)
    resumed.train()

    assert len(seen.topk) == 3
    assert said in warned[0] and f'{tmp_path / "epoch_1.pth"}.' in warned[0]


def test_a_folder_that_moved_is_resumed(tmp_path):
    trained(tmp_path / 'old')
    # A copy gives every file a new time.
    os.utime(tmp_path / 'old' / 'epoch_1.pth', (99, 99))
    shutil.move(tmp_path / 'old', tmp_path / 'new')

    assert latest_checkpoint(tmp_path / 'new') == str(
        tmp_path / 'new' / 'epoch_2.pth')


def test_only_what_runs_save_to_be_resumed_takes_its_place(tmp_path):
    validated(tmp_path).train()
    torch.save(read_checkpoint(tmp_path / 'epoch_3.pth')['state_dict'],
               tmp_path / 'student.pth')
    (tmp_path / 'notes.pth').write_text('no checkpoint')
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_3.pth')
    cut_off(tmp_path / 'epoch_3.pth')

    with pytest.raises(RuntimeError, match=(
            r'last_checkpoint names .*epoch_3.pth, which is damaged, and no '
            'other checkpoint of a run there is whole: start afresh')):
        latest_checkpoint(tmp_path)


def test_a_run_without_checkpoints_starts_from_the_beginning(tmp_path):
    runner, seen = build(tmp_path, epochs=1, resume=True)
    runner.train()

    assert latest_checkpoint(tmp_path / 'nowhere') is None
    assert len(seen.topk) == 3
