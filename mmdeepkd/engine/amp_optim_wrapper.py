"""Mixed precision for gradient streams."""
import math
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mmdeepkd.registry import OPTIM_WRAPPERS

from .clipping import expose_sum, rescaled
from .finite import ADVICE, gradient_size
from .gradients import Gradients
from .loss_scaler import build_scaler, resolve_dtype
from .optim_wrapper import DeepKDOptimWrapper
from .update_guard import count_step

# Below it float16, whose smallest number is 2**-24, loses every gradient below
# 2**-4: a dynamic scale that has been halved to here comes from an overflow
# in every step, not from one in some.
_DEAD_SCALE = 2.**-20

_OVERFLOWED = 'train/overflowed_steps'

_STATIC_ADVICE = (
    "a static loss scale stays where float16 overflows, so set optim_wrapper."
    f"loss_scale='dynamic', {ADVICE}")


@OPTIM_WRAPPERS.register_module()
class AmpDeepKDOptimWrapper(DeepKDOptimWrapper):
    """:class:`DeepKDOptimWrapper` under autocast.

    With float16 one loss scale serves all streams, and an inf or NaN in the
    gradient of any of them skips the whole step: no parameter and no buffer
    moves. A dynamic scale is halved then. That is how it is found, so such a
    step does not count as ``nonfinite`` but as ``overflowed_steps`` in the
    log, beside ``loss_scale`` (averaged over the window of the log, like the
    losses); a scale that has fallen below 2**-20 stops training. Under a
    static scale, which would meet the same inf again, and for a loss that is
    inf or NaN, which a lower scale would not mend, it is ``nonfinite`` that
    decides. As without mixed precision this takes one synchronisation per
    update.

    bfloat16 has float32's range and is not scaled. The wrapper runs on CPU
    too; mmcv's operators, and so detectors, have no bfloat16 there.

    Args:
        optimizer: A ``torch.optim.SGD`` or ``torch.optim.AdamW``.
        delta: See :class:`DeepKDOptimWrapper`, as for the next five.
        offsets: Momentum offset of each stream, instead of delta.
        semantics: ``'paper'`` or ``'released'``.
        merge: Streams of equal momentum share one backward.
        accumulative_counts: Iterations per update.
        clip_grad: By norm, of the unscaled sum.
        loss_scale: As for MMEngine's ``AmpOptimWrapper``: ``'dynamic'``, a
            number (static), or the arguments of torch's ``GradScaler``.
        dtype: ``'float16'`` or ``'bfloat16'``; None means float16 on CUDA
            and bfloat16 elsewhere.
        nonfinite: See :class:`DeepKDOptimWrapper`.

    Raises:
        ValueError: The dtype is neither of the two, or float16 on the CPU
            with torch < 2.3.
        TypeError: loss_scale is of another type.
        FloatingPointError: While training, by ``nonfinite='raise'``, or the
            loss scale has collapsed.
    """

    def __init__(self,
                 optimizer: Optimizer,
                 delta: Optional[float] = None,
                 offsets: Optional[Mapping[str, float]] = None,
                 semantics: str = 'paper',
                 merge: bool = True,
                 accumulative_counts: int = 1,
                 clip_grad: Optional[Dict[str, Any]] = None,
                 loss_scale: Union[str, float, Dict[str, Any]] = 'dynamic',
                 dtype: Union[None, str, torch.dtype] = None,
                 nonfinite: str = 'raise') -> None:
        super().__init__(optimizer, delta, offsets, semantics, merge,
                         accumulative_counts, clip_grad, nonfinite)
        device = self._device.type
        self.cast_dtype = resolve_dtype(dtype, device)
        # A static scale is set again after every step, as MMEngine does.
        self._static_scale = float(loss_scale) if isinstance(
            loss_scale, (int, float)) else None
        self.loss_scaler = build_scaler(
            device, loss_scale, self.cast_dtype is torch.float16)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass under autocast."""
        with super().optim_context(model), torch.autocast(
                self._device.type, dtype=self.cast_dtype):
            yield

    def state_dict(self) -> Dict[str, Any]:
        """Return the optimizer's state and the loss scale."""
        state = super().state_dict()
        state['loss_scaler'] = self.loss_scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Load the optimizer's state, and the loss scale if there is one.

        Args:
            state_dict: From this wrapper, or from one without mixed
                precision.
        """
        state_dict = dict(state_dict)
        scale = state_dict.pop('loss_scaler', None)
        # A disabled scaler (bfloat16) saves an empty state.
        if scale and self.loss_scaler.is_enabled():
            self.loss_scaler.load_state_dict(scale)
        super().load_state_dict(state_dict)

    def _scale(self, loss: Tensor) -> Tensor:
        return self.loss_scaler.scale(loss)

    def _update(self, grads: Dict[str, Gradients], **kwargs: Any) -> None:
        scaler = self.loss_scaler
        if not scaler.is_enabled() or all(
                g is None for values in grads.values() for g in values):
            # A scaler refuses a step in which it has seen no gradient.
            super()._update(grads, **kwargs)
            return
        # As a tensor: it is read together with the losses and the gradients.
        scale = scaler.scale(torch.ones((), device=self._device))
        sizes, factor = self._unscale(grads, scale)
        finite, (number, *norm), final = self._held.measure(
            self._guard.losses, [scale, *sizes])
        if not final:
            # It ends the scaler's update and leaves its scale.
            scaler.update(number)
            self._update(self._held.streams, **kwargs)
            return
        if not finite:
            scaler.update(number)
            self._reject(grads)
            return
        self._check_scale(number)
        fits = all(map(math.isfinite, norm))
        if fits:
            self._observation.show(grads, scale.reciprocal())
            if self.clip_grad_kwargs:
                self._log_norm(*norm)
            # Not scaler.step, which would read from the device once more.
            self.optimizer.step(
                stream_grads=rescaled(self._parameters(), grads, factor),
                **kwargs)
        scaler.update(self._static_scale)
        self._log_scale(number, fits)
        if not fits and self._static_scale is not None:
            self._reject(grads, _STATIC_ADVICE)

    def _unscale(self, grads: Dict[str, Gradients],
                 scale: Tensor) -> Tuple[List[Tensor], Tensor]:
        """Put the sum, unscaled and clipped, into ``p.grad``.

        Returns:
            [its norm] and the factor that was applied. An inf or NaN in one
            stream is an inf or NaN in the sum.
        """
        expose_sum(self._parameters(), grads)
        self.loss_scaler.unscale_(self.optimizer)
        # A scale that fell to 0 gives inf, as in the scaler.
        factor = scale.reciprocal()
        if self.clip_grad_kwargs:
            sizes, clipping = self._clip_sum()
            return sizes, factor * clipping
        total = [p.grad for p in self._parameters()]
        return gradient_size(dict(total=total)), factor

    def _log_scale(self, scale: float, fits: bool) -> None:
        self.message_hub.update_scalar('train/loss_scale', scale)
        if not fits and self._static_scale is None:
            count_step(self.message_hub, _OVERFLOWED)

    def _check_scale(self, scale: float) -> None:
        if self._static_scale is None and scale < _DEAD_SCALE:
            raise FloatingPointError(
                f'iteration {self._inner_count}: the loss scale has fallen to '
                f'{scale:.1e}, where float16 loses the gradients, because '
                'gradients are inf or NaN step after step; training stops: '
                f"use dtype='bfloat16' where the GPU has it, or {ADVICE}.")
