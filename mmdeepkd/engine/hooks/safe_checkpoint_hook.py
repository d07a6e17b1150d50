"""MMEngine's CheckpointHook, but it deletes only after it has saved."""
from typing import Any, Dict, List, Set

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmdeepkd.registry import HOOKS

from ..files import LAST_CHECKPOINT, is_local, remove_drafts, replacing


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """Save checkpoints so that a kill at any moment leaves a whole one.

    MMEngine's hook deletes the old file, of ``max_keep_ckpts`` and of
    ``save_best``, before it writes the new one, and writes
    ``last_checkpoint`` in place. This one saves first, then lets
    ``last_checkpoint`` name the new file, and deletes last. All arguments are
    those of MMEngine's hook. Before a checkpoint that can be resumed from it
    calls, on every rank, ``collect_states(runner, meta)`` of the hooks that
    have it.

    ``DistillRunner`` uses it for ``CheckpointHook`` and writes every file
    under a temporary name first; with another runner only the order is safe.

    Example:
        >>> default_hooks = dict(checkpoint=dict(
        ...     type='mmdeepkd.SafeCheckpointHook', interval=1,
        ...     max_keep_ckpts=1, save_best='auto'))
    """

    # MMEngine's, which declares no type, in a wrapper.
    file_backend: Any

    def before_train(self, runner: Runner) -> None:
        """Find the folder; delete what a killed run left.

        Args:
            runner: The runner.
        """
        super().before_train(runner)
        if is_main_process():
            remove_drafts(runner.work_dir)
            if is_local(self.out_dir, self.backend_args):
                remove_drafts(self.out_dir)
        self.file_backend = _DeletesLater(self.file_backend)

    def _save_best_checkpoint(self, runner: Runner,
                              metrics: Dict[str, Any]) -> None:
        super()._save_best_checkpoint(runner, metrics)
        self._delete_outdated()

    def _save_checkpoint_with_step(self, runner: Runner, step: int,
                                   meta: Dict[str, Any]) -> None:
        # Here, where every rank comes by; what is saved, rank 0 saves alone.
        meta = dict(meta)
        runner.call_hook('collect_states', meta=meta)
        # In MMEngine's method the deletion comes first, and is part of what
        # makes the list of kept checkpoints that the file itself holds.
        self._keep(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args)
        if is_main_process():
            with replacing(f'{runner.work_dir}/{LAST_CHECKPOINT}') as draft:
                draft.write_text(self.last_ckpt)
        self._delete_outdated()

    def _keep(self, runner: Runner, step: int) -> None:
        """Note the checkpoints that exist once this one is saved.

        The one to be deleted is among them: should the run be killed before
        that, MMEngine's ``before_train`` deletes it when the run resumes.
        """
        if self.max_keep_ckpts <= 0:
            return
        kept = [*(i for i in self.keep_ckpt_ids if i != step), step]
        runner.message_hub.update_info('keep_ckpt_ids', kept)
        for outdated in kept[:-self.max_keep_ckpts]:
            if is_main_process():
                self.file_backend.remove(
                    self.file_backend.join_path(
                        self.out_dir, self.filename_tmpl.format(outdated)))
        # Holds the last max_keep_ckpts of them.
        self.keep_ckpt_ids.clear()
        self.keep_ckpt_ids.extend(kept)

    def _delete_outdated(self) -> None:
        current = {self.last_ckpt, getattr(self, 'best_ckpt_path', None)}
        current.update(getattr(self, 'best_ckpt_path_dict', {}).values())
        self.file_backend.delete(except_for=current)


class _DeletesLater:
    """A file backend, as a checkpoint hook uses it, that deletes when told.

    Args:
        backend: MMEngine's file backend or client.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._outdated: List[str] = []

    def join_path(self, path: str, *parts: str) -> str:
        return str(self._backend.join_path(path, *parts))

    def isfile(self, path: str) -> bool:
        return bool(self._backend.isfile(path))

    def isdir(self, path: str) -> bool:
        return bool(self._backend.isdir(path))

    def remove(self, path: str) -> None:
        self._outdated.append(path)

    # Checkpoints of deepspeed are folders.
    rmtree = remove

    def delete(self, except_for: Set[Any]) -> None:
        """Delete what was removed, unless it has been saved again."""
        for path in self._outdated:
            if path in except_for:
                continue
            if self._backend.isfile(path):
                self._backend.remove(path)
            elif self._backend.isdir(path):
                self._backend.rmtree(path)
        self._outdated = []
