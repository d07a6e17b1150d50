"""A dense part of a teacher that runs faster."""
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from .comparison import Comparison, tolerance
from .folding import Pair, count_norms, find_pairs, fold
from .options import Speedup
from .precision import full_precision
from .tensors import channels_last, device_type, map_tensors, tensors_in

_OFF = Speedup(channels_last=False, fold_bn=False)


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
        self._failed: Optional[str] = None
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
                something else; and on every batch after that.
            TypeError: It gives nothing that can be compared.
            ValueError: float16 is asked for on the CPU.
        """
        if self._failed is not None:
            raise RuntimeError(self._failed)
        inputs = (args, kwargs)
        if not self._ready:
            # Nothing can be compared on a batch without RoIs.
            if not any(t.numel() for t in tensors_in(inputs)):
                return self.inner(*args, **kwargs)
            self._prepare(inputs)
            self._ready = True
        return self._run(inputs)

    def __getstate__(self) -> Dict[str, Any]:
        # A compiled function runs the weights it was made for: a copy
        # compiles its own.
        return dict(self.__dict__, _compiled=None)

    def _run(self, inputs: Any) -> Any:
        if self._formats:
            inputs = map_tensors(channels_last, inputs)
        outputs = self._autocast(self._function(), inputs)
        # Whatever the module has: it may pass on the format it was given.
        if self._speedup.channels_last and self._contiguous:
            outputs = map_tensors(Tensor.contiguous, outputs)
        return outputs

    def _function(self) -> Callable[..., Any]:
        if not self._speedup.compile:
            return self.inner
        if self._compiled is None:
            self._compiled = torch.compile(self.inner.forward)
        return self._compiled

    def _autocast(self, function: Callable[..., Any], inputs: Any) -> Any:
        args, kwargs = inputs
        if self._speedup.dtype is None:
            return function(*args, **kwargs)
        with torch.autocast(device_type(inputs), self._speedup.dtype):
            outputs = function(*args, **kwargs)
        return map_tensors(self._as_weights, outputs)

    @torch.no_grad()
    def _prepare(self, inputs: Any) -> None:
        """Change the module, and compare it with what it was."""
        device, inner = device_type(inputs), self.inner
        if device == 'cpu' and self._speedup.amp == 'fp16':
            raise ValueError(
                "teacher_speedup has amp='fp16', which is for GPUs, and the "
                f"{self._name} of the teacher is on the CPU: set amp='bf16' "
                'or amp=None.')
        # In the weights' own precision, for that of an autocast around this
        # would hide what is wrong.
        inputs = map_tensors(self._as_weights, inputs)
        total = count_norms(inner)
        with full_precision(device, self._speedup):
            if self._speedup.fold_bn:
                expected, pairs = find_pairs(
                    inner, lambda: _call(inner, inputs))
            else:
                expected, pairs = _call(inner, inputs), []
            comparison = Comparison(self._name, expected)
            try:
                self._change(pairs)
                self._compare(comparison, inputs, device)
            except RuntimeError as error:
                # What it gave before is lost: never go on with this.
                self._failed = str(error)
                raise
        MMLogger.get_current_instance().info(
            f'teacher_speedup: {self._name}: {total - count_norms(inner)} of '
            f'{total} BatchNorms folded, '
            f'{"channels_last" if self._formats else "format as loaded"}, '
            f'amp {self._speedup.amp}'
            f'{", compiled" if self._speedup.compile else ""}; largest '
            'relative difference on the first batch '
            f'{comparison.difference:.1e}.')

    def _change(self, pairs: List[Pair]) -> None:
        fold(self.inner, pairs)
        if self._formats:
            self.inner.to(memory_format=torch.channels_last)

    def _compare(self, comparison: Comparison, inputs: Any,
                 device: str) -> None:
        """Raise unless the module gives what it gave, step by step."""
        speedup, dtypes = self._speedup, [self._dtype]
        if self._formats:
            inputs = map_tensors(channels_last, inputs)
        exact = speedup._replace(amp=None, compile=False)
        if any(exact):
            comparison.require(
                lambda: _call(self.inner, inputs), exact,
                tolerance(device, dtypes))
        if speedup.dtype is not None:
            dtypes.append(speedup.dtype)
            comparison.require(
                lambda: self._autocast(self.inner, _copied(inputs)),
                _OFF._replace(amp=speedup.amp), tolerance(device, dtypes))
        if speedup.compile:
            comparison.require(
                lambda: self._autocast(self._function(), _copied(inputs)),
                _OFF._replace(compile=True), tolerance(device, dtypes))

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
