"""Mixed precision for gradient streams."""
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Mapping, Optional, Union

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mmdeepkd.registry import OPTIM_WRAPPERS

from .clipping import expose_sum, rescaled
from .finite import ADVICE, measure
from .gradients import Gradients
from .optim_wrapper import DeepKDOptimWrapper

# torch < 2.3 has a gradient scaler for CUDA only.
_SCALES_ON_CPU = hasattr(torch.amp, 'GradScaler')

# Below it float16, whose smallest number is 2**-24, loses every gradient below
# 2**-4: a dynamic scale that has been halved to here comes from an overflow
# in every step, not from one in some.
_DEAD_SCALE = 2.**-20

_DTYPES = dict(float16=torch.float16, bfloat16=torch.bfloat16)


@OPTIM_WRAPPERS.register_module()
class AmpDeepKDOptimWrapper(DeepKDOptimWrapper):
    """:class:`DeepKDOptimWrapper` under autocast.

    With float16 one loss scale serves all streams, and an inf or NaN in the
    gradient of any of them skips the whole step and halves the scale: no
    parameter and no buffer moves. That is how the scale is found, and does
    not count as ``nonfinite``; a loss that is inf or NaN does (a lower scale
    would not mend it), and a dynamic scale that has fallen below 2**-20
    stops training.
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
        self.cast_dtype = _resolve_dtype(dtype, device)
        # A static scale is set again after every step, as MMEngine does.
        self._static_scale = float(loss_scale) if isinstance(
            loss_scale, (int, float)) else None
        self.loss_scaler = _build_scaler(
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
        if not scaler.is_enabled():
            super()._update(grads, **kwargs)
            return
        # As a tensor: it is read together with the losses.
        scale = scaler.scale(torch.ones((), device=self._device))
        finite, numbers = measure(self._guard.losses, [scale], self._device)
        if not finite:
            self._reject(grads)
            return
        self._check_scale(numbers[0])
        if all(g is None for values in grads.values() for g in values):
            # A scaler refuses a step in which it has seen no gradient.
            return
        # The scaler looks for inf in p.grad; an inf or NaN in one stream is
        # an inf or NaN in the sum.
        expose_sum(self._parameters(), grads)
        # A scale that fell to 0 gives inf, as in the scaler.
        factor = scale.reciprocal()
        scaler.unscale_(self.optimizer)
        if self.clip_grad_kwargs:
            sizes, clipping = self._clip_sum()
            self._log_norm(float(sizes[0]))
            factor = factor * clipping
        grads = rescaled(self._parameters(), grads, factor)
        scaler.step(self.optimizer, stream_grads=grads, **kwargs)
        scaler.update(self._static_scale)

    def _check_scale(self, scale: float) -> None:
        if self._static_scale is None and scale < _DEAD_SCALE:
            raise FloatingPointError(
                f'iteration {self._inner_count}: the loss scale has fallen to '
                f'{scale:.1e}, where float16 loses the gradients, because '
                'gradients are inf or NaN step after step; training stops: '
                f"use dtype='bfloat16' where the GPU has it, or {ADVICE}.")


def _resolve_dtype(dtype: Union[None, str, torch.dtype],
                   device: str) -> torch.dtype:
    if dtype is None:
        return torch.float16 if device == 'cuda' else torch.bfloat16
    resolved = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if resolved not in _DTYPES.values():
        raise ValueError("AmpDeepKDOptimWrapper's dtype must be 'float16' or "
                         f"'bfloat16', got {dtype!r}.")
    if resolved is torch.float16 and device == 'cpu' and not _SCALES_ON_CPU:
        raise ValueError(
            'float16 on the CPU needs torch >= 2.3 (there is no gradient '
            "scaler for it before): use dtype='bfloat16'.")
    return resolved  # type: ignore[return-value]


def _build_scaler(device: str, loss_scale: Union[str, float, Dict[str, Any]],
                  enabled: bool) -> Any:
    if loss_scale == 'dynamic':
        settings: Dict[str, Any] = {}
    elif isinstance(loss_scale, (int, float)):
        settings = dict(init_scale=float(loss_scale))
    elif isinstance(loss_scale, dict):
        settings = dict(loss_scale)
    else:
        raise TypeError("loss_scale must be 'dynamic', a number or a dict of "
                        f"GradScaler's arguments, got {loss_scale!r}.")
    if _SCALES_ON_CPU:
        return torch.amp.GradScaler(  # type: ignore[attr-defined]
            device, enabled=enabled, **settings)
    return torch.cuda.amp.GradScaler(enabled=enabled, **settings)
