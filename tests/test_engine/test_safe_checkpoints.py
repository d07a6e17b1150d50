"""Checkpoints outlive kills, full disks and folders that move."""
import errno
import json
import os
import platform
import subprocess
import sys
import time

import pytest
from mmengine.fileio import (
    BaseStorageBackend,
    FileClient,
    LocalBackend,
    register_backend,
)
from mmengine.hooks import CheckpointHook

from mmdeepkd.engine import SafeCheckpointHook
from mmdeepkd.engine.files import (
    latest_checkpoint,
    remove_drafts,
    replacing,
)
from tests.helpers.processes import run_command

from .checkpoint_kills import EPOCHS, validated
from .test_runner import build


def killed_runs(tmp_path, kind):
    result = run_command(sys.executable, '-m',
                         'tests.test_engine.checkpoint_kills', tmp_path, kind)
    assert result.returncode == 0, result.stderr[-3000:]
    return [json.loads(line) for line in result.stdout.splitlines()
            if line.startswith('{')]


def test_twenty_kills_while_saving_lose_nothing(tmp_path):
    runs = killed_runs(tmp_path, 'safe')

    assert len(runs) == 20
    for moment in ('half of .epoch_2', 'os.rename .epoch_2',
                   'os.rename .last_checkpoint', 'os.remove epoch_1',
                   'half of .best_score', 'os.remove best_score',
                   'half of .epoch_3'):
        assert any(moment in run['moment'] for run in runs), moment
    for run in runs:
        # Killed in epoch 2 or 3, after epoch 1 was saved.
        assert run.get('started') in ([1], [2], [3]), run
        # One that was whole when the run was killed.
        assert run['best'], run
        assert [file for file in run['left'] if file.startswith('epoch_')] == [
            f'epoch_{EPOCHS}.pth'], run
        assert not any('draft' in file for file in run['left']), run


def test_mmengines_own_hook_loses_checkpoints(tmp_path):
    """What the test above would show without SafeCheckpointHook."""
    runs = killed_runs(tmp_path, 'plain')

    assert any('failed' in run for run in runs)
    assert any(run.get('best') == [] for run in runs)


def files(folder):
    """The files of a work_dir but for its configs."""
    return sorted(path.name for path in folder.iterdir()
                  if path.is_file() and path.suffix != '.py')


def with_hook(tmp_path, rule='greater', **kwargs):
    return validated(tmp_path, checkpoint=dict(
        type='CheckpointHook', interval=1, rule=rule, **kwargs))


@pytest.mark.parametrize('kwargs, kept', [
    (dict(), ['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth']),
    (dict(max_keep_ckpts=1), ['epoch_3.pth']),
    (dict(max_keep_ckpts=2), ['epoch_2.pth', 'epoch_3.pth']),
    (dict(max_keep_ckpts=1, save_best='score'),
     ['best_score_epoch_3.pth', 'epoch_3.pth']),
    (dict(max_keep_ckpts=1, filename_tmpl='at_{}.pth', save_begin=2),
     ['at_3.pth']),
    (dict(save_last=False, save_begin=2), ['epoch_2.pth', 'epoch_3.pth']),
    (dict(max_keep_ckpts=2, by_epoch=False), ['iter_8.pth', 'iter_9.pth']),
])
def test_the_kept_files_are_those_of_mmengines_hook(tmp_path, kwargs, kept):
    with_hook(tmp_path, **kwargs).train()

    assert files(tmp_path) == [*kept, 'last_checkpoint']
    assert (tmp_path / 'last_checkpoint').read_text() == str(
        tmp_path / kept[-1])


def test_checkpoints_go_where_out_dir_says(tmp_path):
    out = tmp_path / 'out'
    with_hook(tmp_path / 'run', out_dir=str(out), max_keep_ckpts=1,
              save_best='score').train()

    assert files(out / 'run') == ['best_score_epoch_3.pth', 'epoch_3.pth']
    assert latest_checkpoint(tmp_path / 'run') == str(
        out / 'run' / 'epoch_3.pth')


def test_a_best_checkpoint_saved_again_under_its_name_stays(tmp_path):
    runner = with_hook(tmp_path, save_best='score')
    runner.train()
    hook = next(h for h in runner.hooks if isinstance(h, SafeCheckpointHook))
    # As runner.val() may after training.
    hook.after_val_epoch(runner, dict(score=99))

    assert 'best_score_epoch_3.pth' in files(tmp_path)
    assert 'epoch_3.pth' in files(tmp_path)


def test_the_best_of_several_metrics_are_kept_apart(tmp_path):
    runner = with_hook(tmp_path, rule=['greater', 'less'],
                       save_best=['score', 'loss'])
    hook = next(h for h in runner.hooks if isinstance(h, SafeCheckpointHook))
    hook.before_train(runner)
    hook.after_val_epoch(runner, dict(score=1, loss=1))
    runner.train_loop._epoch = 1
    hook.after_val_epoch(runner, dict(score=2, loss=2))

    assert files(tmp_path) == ['best_loss_epoch_0.pth',
                               'best_score_epoch_1.pth']


def test_what_a_killed_run_left_is_deleted(tmp_path):
    build(tmp_path, epochs=1)[0].train()
    gone = subprocess.Popen(['true'])
    gone.wait()
    # In a container a run may have the number of the one before.
    for process in (gone.pid, os.getpid()):
        draft_of(tmp_path, process).write_text('half')
    (tmp_path / '.epoch_9.pth').write_text('of the user')
    build(tmp_path, epochs=1)[0].train()

    assert files(tmp_path) == ['.epoch_9.pth', 'epoch_1.pth',
                               'last_checkpoint']


def draft_of(folder, process, host=None):
    host = host or platform.node()
    return folder / f'.epoch_9.pth.{host}.{process}.mmdeepkd-draft'


def test_what_another_run_is_writing_stays(tmp_path):
    """It may train in the same folder, or here from another machine."""
    alive = [draft_of(tmp_path, os.getppid()), draft_of(tmp_path, 1),
             draft_of(tmp_path, os.getpid(), host='elsewhere')]
    for draft in alive:
        draft.write_text('half')
    remove_drafts(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(alive)

    yesterday = time.time() - 25 * 3600
    os.utime(alive[2], (yesterday, yesterday))
    remove_drafts(tmp_path)
    assert not alive[2].exists()


def test_a_draft_is_known_by_its_process(tmp_path):
    with replacing(tmp_path / 'epoch_9.pth') as draft:
        draft.write_text('new')

        assert draft == draft_of(tmp_path, os.getpid())


def full_disk(self, content, path):
    with open(path, 'wb') as file:
        file.write(content[:100])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    kept = dict(checkpoint=dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=1))
    first, _ = build(tmp_path, epochs=1, default_hooks=kept)
    first.train()
    second, _ = build(tmp_path, epochs=2, resume=True, default_hooks=kept)
    with monkeypatch.context() as patch:
        patch.setattr(LocalBackend, 'put', full_disk)
        with pytest.raises(OSError, match=(
                r'epoch_2.pth could not be written \(.*No space left.*'
                'before is untouched: make room for it and resume')) as caught:
            second.train()

    assert caught.value.errno == errno.ENOSPC
    assert files(tmp_path) == ['epoch_1.pth', 'last_checkpoint']
    third, _ = build(tmp_path, epochs=2, resume=True, default_hooks=kept)
    third.train()
    assert files(tmp_path) == ['epoch_2.pth', 'last_checkpoint']


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    file = tmp_path / 'file'
    file.write_text('old')
    with pytest.raises(KeyboardInterrupt), replacing(file) as draft:
        draft.write_text('half')
        raise KeyboardInterrupt
    assert (files(tmp_path), file.read_text()) == (['file'], 'old')

    with replacing(file) as draft:
        draft.write_text('new')
        assert file.read_text() == 'old'
    assert (files(tmp_path), file.read_text()) == (['file'], 'new')


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """A computer that loses its power keeps what was flushed."""
    flush, calls = os.fsync, []
    monkeypatch.setattr(os, 'fsync', lambda descriptor: (
        calls.append((tmp_path / 'file').exists()), flush(descriptor)))
    with replacing(tmp_path / 'file') as draft:
        draft.write_text('new')

    # The content, then the name.
    assert calls == [False, True]


@pytest.mark.parametrize('given, found', [
    (None, 'SafeCheckpointHook'),
    (dict(type='CheckpointHook', interval=7), 'SafeCheckpointHook'),
    (dict(type='mmengine.CheckpointHook', interval=7), 'SafeCheckpointHook'),
    (dict(type=CheckpointHook, interval=7), 'SafeCheckpointHook'),
    (dict(type='CheckpointHook', _scope_='mmdet', interval=7),
     'SafeCheckpointHook'),
    (dict(type='EmptyCacheHook'), 'EmptyCacheHook'),
])
def test_only_mmengines_own_hook_is_replaced(tmp_path, given, found):
    hooks = {} if given is None else dict(checkpoint=given)
    runner, _ = build(tmp_path, default_hooks=hooks)
    savers = [h for h in runner.hooks
              if type(h).__name__ in ('CheckpointHook', 'SafeCheckpointHook',
                                      'EmptyCacheHook')]

    assert [type(h).__name__ for h in savers] == [found]
    if given and 'interval' in given:
        assert savers[0].interval == 7


def test_a_hook_object_of_the_users_is_left_alone(tmp_path):
    hook = CheckpointHook(interval=7)
    runner, _ = build(tmp_path, default_hooks=dict(checkpoint=hook))

    assert hook in runner.hooks


class Memory(BaseStorageBackend):
    """Storage that is not in the file system, such as s3."""

    stored = {}

    def get(self, filepath):
        return self.stored[filepath]

    def get_text(self, filepath, encoding='utf-8'):
        return self.stored[filepath].decode()

    def put(self, obj, filepath):
        self.stored[filepath] = obj

    def join_path(self, filepath, *filepaths):
        return '/'.join((filepath, *filepaths))

    def isfile(self, filepath):
        return filepath in self.stored

    def isdir(self, filepath):
        return False

    def remove(self, filepath):
        del self.stored[filepath]


def test_other_storage_is_passed_through(tmp_path):
    register_backend('memory', Memory, force=True, prefixes='memory')
    FileClient.register_backend('memory', Memory, force=True,
                                prefixes='memory')
    Memory.stored.clear()
    with_hook(tmp_path / 'run', out_dir='memory://runs', max_keep_ckpts=1,
              save_best='score').train()

    assert sorted(Memory.stored) == [
        'memory://runs/run/best_score_epoch_3.pth',
        'memory://runs/run/epoch_3.pth'
    ]
    assert latest_checkpoint(tmp_path / 'run') == (
        'memory://runs/run/epoch_3.pth')
