"""The Runner of distillation runs."""
import datetime
import difflib
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import torch
import torch.distributed as dist
from mmengine.device import get_device
from mmengine.dist import is_distributed, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn
from torch.utils.data import DataLoader

from mmdeepkd.registry import HOOKS, RUNNERS

from .dataset_classes import explain_no_images
from .empty_images import name_empty_image
from .files import is_local, latest_checkpoint, replacing
from .loops import resumable

# Seconds that gloo's threads get to let go of tensors. They need
# microseconds, on a loaded machine milliseconds.
_LETTING_GO = 0.2

# The hooks of every distillation run beside MMEngine's own. Not in a config:
# MMEngine refuses two _base_ files that both have default_hooks.
_HOOKS: Dict[str, Dict[str, Any]] = dict(
    plain_checkpoint=dict(type='mmdeepkd.PlainCheckpointHook'),
    finite_loss=dict(type='mmdeepkd.FiniteLossHook'),
    class_count=dict(type='mmdeepkd.ClassCountHook'),
    adapter_check=dict(type='mmdeepkd.AdapterCheckHook'),
    random_state=dict(type='mmdeepkd.RandomStateHook'),
    start_summary=dict(type='mmdeepkd.StartSummaryHook'),
    resume_check=dict(type='mmdeepkd.ResumeCheckHook'),
)
# MMEngine's own, which it leaves out itself; any other None it refuses.
_MMENGINE_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger',
                   'param_scheduler', 'checkpoint')


@RUNNERS.register_module()
class DistillRunner(Runner):
    """MMEngine's Runner with some additions; ``runner_type`` selects it.

    - :class:`PlainCheckpointHook` is among its default hooks, so that plain
      mmdet opens the checkpoints.
    - Several processes can train without GPUs, through gloo. MMEngine's own
      Runner asks for a CUDA device when it starts them, and names one when
      it wraps the model.
    - Killed at any moment it leaves a whole checkpoint:
      :class:`SafeCheckpointHook` takes the place of ``CheckpointHook``.
    - An interrupted run that is resumed is the uninterrupted one, bit for bit
      on CPU: :class:`RandomStateHook`.
    """

    # Set by MMEngine's Runner, which declares no types.
    _load_from: Optional[str]
    _randomness_cfg: Dict[str, Any]

    def register_default_hooks(
            self,
            hooks: Optional[Dict[str, Any]] = None) -> None:
        """Register MMEngine's default hooks and those of distillation runs.

        Args:
            hooks: ``default_hooks`` of the config, by name; None leaves a
                hook out, such as ``plain_checkpoint=None``, or ``topk=None``
                where a config of ``_base_`` has one of that name.
        """
        every = {**_HOOKS, **(hooks or {})}
        for text in _doubtful(every):
            self.logger.warning(text)
        hooks = {
            name: hook for name, hook in every.items()
            if hook is not None or name in _MMENGINE_HOOKS
        }
        hooks.setdefault('checkpoint', dict(type='CheckpointHook', interval=1))
        hooks['checkpoint'] = _safe(hooks['checkpoint'])
        super().register_default_hooks(hooks)

    def setup_env(self, env_cfg: Dict[str, Any]) -> None:
        """Join the other processes, by gloo if there is no GPU.

        Args:
            env_cfg: As for MMEngine's Runner.
        """
        if self.distributed and not is_distributed() and _on_cpu():
            if self.launcher != 'pytorch':
                raise RuntimeError(
                    f'launcher {self.launcher!r} needs GPUs: without them '
                    "start the processes with tools/dist_train.sh (launcher "
                    "'pytorch').")
            timeout = env_cfg.get('dist_cfg', {}).get('timeout', 1800)
            dist.init_process_group(
                'gloo', timeout=datetime.timedelta(seconds=timeout))
        super().setup_env(env_cfg)

    def build_train_loop(self, loop: Union[BaseLoop,
                                           Dict[str, Any]]) -> BaseLoop:
        """Build the train loop and its data.

        Args:
            loop: As for MMEngine's Runner; its ``IterBasedTrainLoop`` becomes
                a :class:`ResumableIterLoop`.

        Returns:
            The loop.
        """
        if isinstance(loop, dict):
            self._adopt_seed()
            loop = resumable(loop)
        return super().build_train_loop(loop)

    @staticmethod
    def build_dataloader(dataloader: Any,
                         seed: Optional[int] = None,
                         diff_rank_seed: bool = False) -> DataLoader[Any]:
        """Build a dataloader and its dataset.

        Args:
            dataloader: As for MMEngine's Runner, like the rest.
            seed: Of the sampler.
            diff_rank_seed: Whether each rank has a seed of its own.

        Returns:
            The dataloader.
        """
        with explain_no_images(dataloader):
            return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def load_or_resume(self) -> None:
        """Load or resume, from the latest whole checkpoint if none is named.

        Raises:
            RuntimeError: There should be one to resume, and none is whole.
        """
        self._checkpoint_to_resume()
        super().load_or_resume()

    def resume(self,
               filename: str,
               resume_optimizer: bool = True,
               resume_param_scheduler: bool = True,
               map_location: Any = 'default') -> None:
        """Continue the run that saved a checkpoint.

        Args:
            filename: The checkpoint.
            resume_optimizer: As for MMEngine's Runner, like the rest.
            resume_param_scheduler: Restore the schedules.
            map_location: As for ``torch.load``.
        """
        super().resume(filename, resume_optimizer, resume_param_scheduler,
                       map_location)
        self.call_hook('after_resume')

    def save_checkpoint(self,
                        out_dir: str,
                        filename: str,
                        file_client_args: Optional[Dict[str, Any]] = None,
                        save_optimizer: bool = True,
                        save_param_scheduler: bool = True,
                        meta: Optional[Dict[str, Any]] = None,
                        by_epoch: bool = True,
                        backend_args: Optional[Dict[str, Any]] = None) -> None:
        """Save a checkpoint on rank 0, which may call this alone.

        Other ranks return at once, as with MMEngine's Runner. A resumed run
        of several processes draws the random numbers of the uninterrupted
        one only if the ranks' states are in ``meta``, as
        :class:`SafeCheckpointHook` collects them.

        Args:
            out_dir: Folder.
            filename: Name in it.
            file_client_args: As for MMEngine's Runner, like the rest.
            save_optimizer: Save the optimizer's state.
            save_param_scheduler: Save the schedules.
            meta: What the checkpoint says of itself.
            by_epoch: Whether it is saved at the end of an epoch.
            backend_args: Of the file backend.
        """
        if not is_main_process():
            return
        local = file_client_args is None and is_local(out_dir, backend_args)
        with ExitStack() as stack:
            if local:
                draft = stack.enter_context(
                    replacing(Path(out_dir, filename)))
                out_dir, filename = str(draft.parent), draft.name
            super().save_checkpoint(out_dir, filename, file_client_args,
                                    save_optimizer, save_param_scheduler,
                                    meta, by_epoch, backend_args)

    def train(self) -> nn.Module:
        """Train; return the model."""
        with name_empty_image(self):
            model = super().train()
        _finish_communication()
        return model

    def val(self) -> Dict[str, Any]:
        """Validate; return the metrics."""
        metrics = super().val()
        _finish_communication()
        return metrics

    def test(self) -> Dict[str, Any]:
        """Test; return the metrics."""
        metrics = super().test()
        _finish_communication()
        return metrics

    def wrap_model(self, model_wrapper_cfg: Optional[Dict[str, Any]],
                   model: nn.Module) -> nn.Module:
        """Wrap the model for several processes.

        Args:
            model_wrapper_cfg: As for MMEngine's Runner.
            model: The model.

        Returns:
            The model, wrapped if there are several processes.
        """
        if (self.distributed and _on_cpu() and model_wrapper_cfg is None
                and not is_model_wrapper(model)):
            # DistributedDataParallel takes no device_ids on CPU.
            return MMDistributedDataParallel(
                model,
                broadcast_buffers=False,
                find_unused_parameters=self.cfg.get('find_unused_parameters',
                                                    False))
        return super().wrap_model(model_wrapper_cfg, model)

    def _checkpoint_to_resume(self) -> Optional[str]:
        """Return the checkpoint that this run is to resume, if any."""
        if not self._resume or self._has_loaded:
            return None
        if self._load_from is None:
            self._load_from = latest_checkpoint(self.work_dir)
        return self._load_from

    def _adopt_seed(self) -> None:
        """Take the checkpoint's seed, if the config leaves it to chance.

        MMEngine takes it too, but after the data were built with another.
        """
        filename = self._checkpoint_to_resume()
        if filename is None or self._randomness_cfg.get('seed') is not None:
            return
        # Read once more for one number: only where no seed is given, and
        # before there are data that would share the memory.
        checkpoint = CheckpointLoader.load_checkpoint(filename, 'cpu')
        # What is no training checkpoint resume() refuses.
        meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
        if meta and meta.get('seed') is not None:
            # A dict of its own: MMEngine's default is one for all runners.
            self._randomness_cfg = dict(
                self._randomness_cfg, seed=meta['seed'])
            self.set_randomness(**self._randomness_cfg)


def _doubtful(hooks: Dict[str, Any]) -> List[str]:
    """Say which None seems to mean a hook of another name.

    It may leave out a hook of ``_base_``, which cannot be seen any more.
    """
    left_out = [name for name, hook in hooks.items() if hook is None
                and name not in (*_HOOKS, *_MMENGINE_HOOKS)]
    others = [name for name in (*hooks, *_MMENGINE_HOOKS)
              if name not in left_out]
    close = {name: difflib.get_close_matches(name, others, 1, 0.5)
             for name in left_out}
    return [
        f'default_hooks.{name} is None, which leaves out no hook of this run '
        'unless a config of _base_ has one of that name: did you mean '
        f'{match[0]!r}?' for name, match in close.items() if match
    ]


def _safe(hook: Any) -> Any:
    """Return the config with our checkpoint hook instead of MMEngine's."""
    if not isinstance(hook, dict):
        return hook
    kind = hook.get('type')
    if isinstance(kind, str):
        kind = HOOKS.get(kind)
    if kind is not CheckpointHook:
        return hook
    return dict(hook, type='mmdeepkd.SafeCheckpointHook')


def _finish_communication() -> None:
    """Wait until gloo's threads have let go of their tensors.

    One that still holds a tensor when Python shuts down aborts the process
    ("terminate called without an active exception"). Not at exit: a rank
    that failed must not wait for the others.
    """
    if dist.is_initialized() and dist.get_backend() == 'gloo':
        dist.barrier()
        # The work is done; nothing tells when a thread has dropped it.
        time.sleep(_LETTING_GO)


def _on_cpu() -> bool:
    return get_device() == 'cpu' and not torch.cuda.is_available()
