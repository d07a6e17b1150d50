"""The Runner of distillation runs."""
import datetime
import time
from typing import Any, Dict, Optional

import torch
import torch.distributed as dist
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmdeepkd.registry import RUNNERS

# Seconds that gloo's threads get to let go of tensors. They need
# microseconds, on a loaded machine milliseconds.
_LETTING_GO = 0.2

# The hooks of every distillation run beside MMEngine's own. Not in a config:
# MMEngine refuses two _base_ files that both have default_hooks.
_HOOKS: Dict[str, Dict[str, Any]] = dict(
    plain_checkpoint=dict(type='mmdeepkd.PlainCheckpointHook'),
)


@RUNNERS.register_module()
class DistillRunner(Runner):
    """MMEngine's Runner with two additions; ``runner_type`` selects it.

    - :class:`PlainCheckpointHook` is among its default hooks, so that plain
      mmdet opens the checkpoints.
    - Several processes can train without GPUs, through gloo. MMEngine's own
      Runner asks for a CUDA device when it starts them, and names one when
      it wraps the model.
    """

    def register_default_hooks(
            self,
            hooks: Optional[Dict[str, Any]] = None) -> None:
        """Register MMEngine's default hooks and those of distillation runs.

        Args:
            hooks: ``default_hooks`` of the config, by name; None leaves a
                hook out, such as ``plain_checkpoint=None``.
        """
        hooks = {**_HOOKS, **(hooks or {})}
        # What MMEngine does not know by name it cannot leave out.
        for name in _HOOKS:
            if hooks[name] is None:
                hooks.pop(name)
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

    def train(self) -> nn.Module:
        """Train; return the model."""
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


