"""Every adapter is trained, by one optimizer."""
from collections import Counter

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdeepkd.checkpoints import few
from mmdeepkd.registry import HOOKS

from ..adapters import adapter_parameters
from ..summary.optimization import wrappers
from ..unwrap import unwrap

_WAY_OUT = 'default_hooks=dict(adapter_check=None) turns this check off'


@HOOKS.register_module()
class AdapterCheckHook(Hook):
    """Refuse to train adapters that no optimizer updates, or several.

    Feature losses such as DiffKD train networks of their own, the tensors
    ``distill.*`` of the distiller. An optimizer wrapper that picks parameters
    by name, or a set of them with one optimizer for each part of the student,
    may leave them out: they would stay random without a sound.
    ``DistillRunner`` registers the hook.

    Adapters train at the student's learning rate. Where that is too high for
    them (a loss ``feature.loss_*`` becomes inf or NaN) give them another::

        optim_wrapper = dict(paramwise_cfg=dict(
            custom_keys={'distill': dict(lr_mult=0.1)}))

    MMEngine then applies ``norm_decay_mult`` and ``bias_decay_mult`` to the
    other tensors only.
    """

    priority = 'NORMAL'

    def before_train(self, runner: Runner) -> None:
        """Count the groups that every trainable adapter tensor is in.

        Args:
            runner: The runner.

        Raises:
            RuntimeError: They are none, or several.
        """
        counts = Counter(
            id(param) for wrapper in wrappers(runner).values()
            for group in wrapper.param_groups for param in group['params'])
        adapters = {
            name: counts[id(param)] for name, param
            in adapter_parameters(unwrap(runner.model)).items()
            if param.requires_grad}
        missing = [name for name, count in adapters.items() if not count]
        if missing:
            raise RuntimeError(
                f'{few(missing, "trainable tensors")} of the adapters are in '
                'no parameter group of the optimizer, so that they would stay '
                'random: let the constructor of optim_wrapper (or one of its '
                f'optimizers) take the whole model, distill.* too; {_WAY_OUT}.'
            )
        several = [name for name, count in adapters.items() if count > 1]
        if several:
            raise RuntimeError(
                f'{few(several, "trainable tensors")} of the adapters are in '
                'several parameter groups of the optimizers, which would each '
                'update them: leave distill.* to one of them; '
                f'{_WAY_OUT}.')
