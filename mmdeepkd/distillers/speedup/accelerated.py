"""A dense part of a teacher that runs faster."""
import math
from typing import Any, Callable, Optional, Tuple

import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from .folding import count_norms, find_pairs, fold
from .options import Speedup
from .tensors import map_tensors, relative_difference, tensors_in

# What float32 may differ by on the CPU, where rounding gives 1e-6 to 1e-4;
# elsewhere convolutions may be computed in TF32, whose eps is 1e-3.
_TOLERANCE = 1e-3
_TOLERANCE_ELSEWHERE = 1e-2
# And coarser types, in units of their eps.
_ROUNDINGS = 16


class AcceleratedModule(nn.Module):
    """Runs another module as ``teacher_speedup`` says.

    The module is changed on its first batch that is not empty, where what it
    gave before is compared with what it gives then. Its public attributes and
    methods are reached through this one. Under ``amp`` the outputs have the
    dtype of its weights, as without.

    Args:
        inner: The module, in eval mode and frozen; changed in place.
        name: Its name in the teacher, for messages.
        speedup: What is done.
        contiguous: Whether its outputs are made contiguous: mmcv's operators
            read channels_last tensors wrongly, without an error.
    """

    def __init__(self, inner: nn.Module, name: str, speedup: Speedup,
                 contiguous: bool) -> None:
        super().__init__()
        self.inner = inner
        self._name = name
        self._speedup = speedup
        self._contiguous = contiguous
        self._ready = False
        self._compiled: Optional[Callable[..., Any]] = None
        # Without a convolution the format of the inputs is of no use.
        self._formats = speedup.channels_last and any(
            p.dim() == 4 for p in inner.parameters())

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the module that runs.

        Args:
            name: Private names are never the module's.
        """
        try:
            return super().__getattr__(name)
        except AttributeError:
            inner = self.__dict__.get('_modules', {}).get('inner')
            if inner is None or name.startswith('_'):
                raise
            return getattr(inner, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module.

        Args:
            *args: What it takes.
            **kwargs: What it takes by name.

        Raises:
            RuntimeError: On the first batch: it cannot run so, or it gives
                something else.
            ValueError: float16 is asked for on the CPU.
        """
        inputs = (args, kwargs)
        if not self._ready:
            # Nothing can be compared on a batch without RoIs.
            if not any(t.numel() for t in tensors_in(inputs)):
                return self.inner(*args, **kwargs)
            self._prepare(inputs)
            self._ready = True
        return self._run(inputs)

    def _run(self, inputs: Any) -> Any:
        if self._formats:
            inputs = map_tensors(_channels_last, inputs)
        outputs = self._autocast(inputs)
        if self._formats and self._contiguous:
            outputs = map_tensors(Tensor.contiguous, outputs)
        return outputs

    def _autocast(self, inputs: Any) -> Any:
        args, kwargs = inputs
        run = self._compiled or self.inner
        if self._speedup.dtype is None:
            return run(*args, **kwargs)
        with torch.autocast(_device_type(inputs), self._speedup.dtype):
            outputs = run(*args, **kwargs)
        return map_tensors(self._as_weights, outputs)

    @torch.no_grad()
    def _prepare(self, inputs: Any) -> None:
        """Change the module, and compare it with what it was."""
        device, inner = _device_type(inputs), self.inner
        if device == 'cpu' and self._speedup.amp == 'fp16':
            raise ValueError(
                "teacher_speedup has amp='fp16', which is for GPUs, and the "
                f"{self._name} of the teacher is on the CPU: set amp='bf16' "
                'or amp=None.')
        # In the weights' own precision, for that of an autocast around this
        # would hide what is wrong.
        inputs = map_tensors(self._as_weights, inputs)
        total = count_norms(inner)
        with torch.autocast(device, enabled=False):
            if self._speedup.fold_bn:
                expected, pairs = find_pairs(
                    inner, lambda: _call(inner, inputs))
                fold(inner, pairs)
            else:
                expected = _call(inner, inputs)
            if self._formats:
                inner.to(memory_format=torch.channels_last)
            difference = self._check(expected, inputs, device)
        MMLogger.get_current_instance().info(
            f'teacher_speedup: {self._name}: {total - count_norms(inner)} of '
            f'{total} BatchNorms folded, '
            f'{"channels_last" if self._formats else "format as loaded"}, '
            f'amp {self._speedup.amp}'
            f'{", compiled" if self._compiled else ""}; largest relative '
            f'difference on the first batch {difference:.1e}.')

    def _check(self, expected: Any, inputs: Any, device: str) -> float:
        """Return the largest difference, or raise if it is too large."""
        tolerance = max(
            _TOLERANCE if device == 'cpu' else _TOLERANCE_ELSEWHERE,
            _ROUNDINGS * torch.finfo(self._dtype).eps)
        said = self._speedup._replace(amp=None, compile=False).switches()
        formatted = map_tensors(_channels_last, inputs) if (
            self._formats) else inputs
        found = self._attempt(lambda: _call(self.inner, formatted), said)
        difference = self._require(
            relative_difference(expected, found), tolerance, said)
        if self._speedup.compile:
            self._compiled = torch.compile(self.inner.forward)
            found = self._attempt(
                lambda: _call(self._compiled, formatted), 'compile=False')
            difference = self._require(
                relative_difference(expected, found), tolerance,
                'compile=False')
        if self._speedup.amp is not None:
            found = self._attempt(
                lambda: self._autocast(_copied(formatted)), 'amp=None')
            difference = self._require(
                relative_difference(expected, found), math.inf, 'amp=None')
        return difference

    def _attempt(self, run: Callable[[], Any], switches: str) -> Any:
        try:
            return run()
        # A compiler fails with errors of many kinds.
        except Exception as error:
            raise RuntimeError(
                f'teacher_speedup cannot run the {self._name} of the teacher '
                f'({type(error).__name__}: {error}): set {switches} in '
                'teacher_speedup.') from error

    def _require(self, difference: float, tolerance: float,
                 switches: str) -> float:
        if difference <= tolerance and math.isfinite(difference):
            return difference
        raise RuntimeError(
            f'teacher_speedup changes what the {self._name} of the teacher '
            f'gives by {difference:.2g} of the largest value on the first '
            f'batch, where rounding explains {tolerance:.2g}: set {switches} '
            'in teacher_speedup.')

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.inner.parameters()).dtype

    def _as_weights(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor


def _call(function: Any, inputs: Any) -> Any:
    args, kwargs = _copied(inputs)
    return function(*args, **kwargs)


def _copied(inputs: Any) -> Tuple[Any, Any]:
    # A module may write into what it is given.
    return map_tensors(Tensor.clone, inputs)


def _channels_last(tensor: Tensor) -> Tensor:
    if tensor.dim() != 4:
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last)


def _device_type(inputs: Any) -> str:
    return next(tensors_in(inputs)).device.type
