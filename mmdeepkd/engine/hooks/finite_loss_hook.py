"""Stops a run whose loss is not finite."""
from typing import Any, Dict, List, Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmdeepkd.registry import HOOKS

from ..finite import ADVICE, bad_losses, from_all_ranks, measure, sentence
from ..optimizers import PLAIN
from ..unwrap import unwrap


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at a loss that is inf or NaN under MMEngine's own wrappers.

    ``DeepKDOptimWrapper`` looks before it steps, and then this hook does
    nothing. MMEngine's wrappers do not: the hook stops every rank after the
    step, before the weights are averaged or saved. What is checked are the
    values that are losses to MMEngine: those with 'loss' in their name.

    It looks in every iteration, of an accumulated update too, which takes
    one synchronisation of host and device each. It also stops a float16 run
    under MMEngine's ``AmpOptimWrapper`` at a loss that is inf, whose step the
    ``GradScaler`` would have left out, at a lower scale, without a word;
    ``AmpDeepKDOptimWrapper`` with ``nonfinite='skip'`` leaves it out and
    counts. ``DistillRunner`` registers the hook;
    ``default_hooks=dict(finite_loss=None)`` leaves it out.

    Raises:
        FloatingPointError: A loss is not finite on any rank.
    """

    # Before EMAHook (NORMAL) and CheckpointHook (VERY_LOW).
    priority = 'ABOVE_NORMAL'

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[Dict[str, Any]] = None) -> None:
        """Check the losses of the iteration.

        Args:
            runner: The runner.
            batch_idx: Number of the iteration in the epoch.
            data_batch: The batch.
            outputs: What ``train_step`` returned: values to log, of which
                those whose name contains 'loss' are losses.
        """
        if hasattr(runner.optim_wrapper, 'nonfinite'):
            return
        losses = {
            name: value.detach() for name, value in (outputs or {}).items()
            if 'loss' in name and isinstance(value, Tensor)
        }
        device = next(runner.model.parameters()).device
        finite, _ = measure(list(losses.values()), [], device)
        if not finite:
            found = from_all_ranks(_found(runner, losses))
            raise FloatingPointError(
                sentence(
                    found, 'training stops, and as the step may have spoilt '
                    'the weights resume from the last checkpoint',
                    f'{ADVICE}; default_hooks=dict(finite_loss=None) trains '
                    'on'))


def _found(runner: Runner, losses: Dict[str, Tensor]) -> List[str]:
    """Name the losses; the total, 'loss', only where no part is at fault."""
    model = unwrap(runner.model)
    stream_of = getattr(model, 'stream_of', lambda name: PLAIN)
    iteration = runner.iter + 1
    texts = [
        text for name, value in losses.items() if name != 'loss'
        for text in bad_losses(iteration, {stream_of(name): {name: value}})
    ]
    return texts or bad_losses(iteration, {PLAIN: losses})
