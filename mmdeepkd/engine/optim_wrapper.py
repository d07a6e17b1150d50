"""An OptimWrapper that gives every gradient stream its own momentum."""
import logging
import math
import warnings
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.optim import Optimizer

from mmdeepkd.registry import OPTIM_WRAPPERS

from .clipping import expose_sum, rescaled
from .decouple import decouple, resolve_offsets
from .finite import ADVICE, bad_gradients, gradient_size
from .gradients import Gradients, parameters, stream_gradients
from .held_gradients import HeldGradients
from .observation import Observer, StreamObservation
from .reduction import backward_order
from .stream_losses import StreamLosses, as_streams, sum_losses
from .update_guard import SKIPPED, UpdateGuard, counted_steps


@OPTIM_WRAPPERS.register_module()
class DeepKDOptimWrapper(OptimWrapper):
    """Train gradient streams with decoupled momentum (DeepKD, Sec. 3.2).

    On top of any config with SGD or AdamW this is the whole change::

        optim_wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05)

    The configured SGD becomes a :class:`~mmdeepkd.engine.DecoupledSGD` of the
    same groups, AdamW a :class:`~mmdeepkd.engine.DecoupledAdamW`. Each
    iteration takes one backward per *distinct momentum*; gradients are
    accumulated, averaged over ranks (each stream while the next one's
    backward runs) and clipped (by the norm of their sum) before one step.
    Accumulation, clipping, ``paramwise_cfg``, schedulers, EMA and resume work
    as with MMEngine's wrapper.

    Adapters of feature losses are parameters as any other. What is clipped
    is one norm, over student and adapters together, as MMEngine's wrapper
    would: while it exceeds ``max_norm`` the adapters' gradients shorten the
    student's steps, with a ``loss_weight`` of 0, too, unless the weights of
    their own losses are 0. Adapters train at the student's learning rate, by
    the momentum of ``feature``;
    ``paramwise_cfg=dict(custom_keys={'distill': dict(lr_mult=0.1)})`` gives
    them another rate, and the base weight decay times a ``decay_mult``:
    MMEngine applies ``norm_decay_mult`` and ``bias_decay_mult`` to tensors
    that no custom key names.

    A loss or gradient that is inf or NaN on any rank never reaches a
    parameter or a momentum: it stops training on every rank, with the
    iteration, the stream and the loss's name, or, when asked, its step is
    left out. So no stream can be folded into its momentum before the last
    one is known: at the peak one set of gradients per distinct momentum is
    held beside the graph. All this takes one synchronisation of host and
    device per update (and with several processes another one where what has
    a gradient is not what had one in the last update).

    Args:
        optimizer: A ``torch.optim.SGD`` or ``torch.optim.AdamW``.
        delta: DeepKD's momentum difference: the streams task, non_target,
            distill and feature get momentum + delta, target gets
            momentum - delta.
        offsets: ``{stream: offset}`` instead of delta; DOT is
            ``dict(task=-delta, distill=delta)``.
        semantics: ``'paper'``, or ``'released'`` to reproduce the released
            optimizers (no merging; SGD; offsets for the streams of DeepKD
            or DOT only).
        merge: Streams of equal momentum share one backward and one buffer.
        accumulative_counts: Iterations per update.
        clip_grad: As for MMEngine's wrapper, by norm only.
        nonfinite: ``'raise'`` stops training; ``'skip'`` leaves the step out
            (the model's buffers, such as the statistics of BatchNorm, are
            set back, too), warns, and logs the count as ``skipped_steps``.

    Raises:
        TypeError: The optimizer is neither SGD nor AdamW.
        ValueError: Neither or both of delta and offsets are given, a momentum
            leaves [0, 1), gradients are to be clipped by value, or
            ``nonfinite`` is something else.
        FloatingPointError: While training, by ``nonfinite='raise'``.

    Example:
        >>> wrapper = DeepKDOptimWrapper(SGD(net.parameters(), 0.1, 0.9),
        ...                              delta=0.05)
        >>> wrapper.update_params(dict(task=ce, target=tckd, non_target=nckd))
    """

    def __init__(self,
                 optimizer: Optimizer,
                 delta: Optional[float] = None,
                 offsets: Optional[Mapping[str, float]] = None,
                 semantics: str = 'paper',
                 merge: bool = True,
                 accumulative_counts: int = 1,
                 clip_grad: Optional[Dict[str, Any]] = None,
                 nonfinite: str = 'raise') -> None:
        if clip_grad is not None and clip_grad.get('type', 'norm') != 'norm':
            raise ValueError(
                'DeepKDOptimWrapper clips by the norm of the summed gradient; '
                f'clip_grad type {clip_grad["type"]!r} has no such meaning '
                'for streams: use clip_grad=dict(max_norm=...).')
        super().__init__(
            decouple(optimizer, resolve_offsets(delta, offsets, semantics),
                     semantics, merge),
            accumulative_counts=accumulative_counts,
            # MMEngine pops 'type' out of the dict it is given.
            clip_grad=None if clip_grad is None else dict(clip_grad))
        self.nonfinite = nonfinite
        self._guard = UpdateGuard(nonfinite)
        self._held = HeldGradients(self.optimizer)
        self._observation = StreamObservation(self.optimizer)
        self._in_update_params = False

    @property
    def skipped_steps(self) -> int:
        """How many steps were left out for what was not finite."""
        return counted_steps(self.message_hub, SKIPPED)

    def observe(self, observer: Optional[Observer]) -> None:
        """Show the updates that begin from now on to an observer.

        It is called with the gradients of every stream, those that share a
        momentum too, once they are known to be finite and before they are
        clipped. It costs a backward for each stream that shares another's
        momentum. The updates are the same to the bit; a BatchNorm that is
        recomputed in every backward (non-reentrant activation checkpointing)
        updates its statistics once more in each of them.

        Args:
            observer: Is called with an
                :class:`~mmdeepkd.engine.observation.Observation`; None ends
                it.
        """
        self._observation.observer = observer

    def update_params(self,
                      loss: StreamLosses,
                      step_kwargs: Optional[Dict[str, Any]] = None,
                      zero_kwargs: Optional[Dict[str, Any]] = None) -> None:
        """Take the gradients of an iteration, and step where one is due.

        Args:
            loss: As for :meth:`backward`.
            step_kwargs: Passed to :meth:`step`.
            zero_kwargs: Passed to :meth:`zero_grad`.

        Raises:
            FloatingPointError: A loss or gradient is not finite.
        """
        self._guard.note(loss, self._inner_count + 1)
        self._in_update_params = True
        try:
            super().update_params(loss, step_kwargs, zero_kwargs)
        finally:
            self._in_update_params = False

    def scale_loss(self, loss: StreamLosses) -> Dict[str, Tensor]:
        """Divide every stream's loss by the accumulation factor."""
        return {
            name: super(DeepKDOptimWrapper, self).scale_loss(value)
            for name, value in as_streams(loss).items()
        }

    def backward(self,
                 loss: StreamLosses,
                 retain_graph: bool = False) -> None:
        """Add the gradient of every stream to those of this update.

        Args:
            loss: The total returned by a distiller's ``parse_losses`` (its
                attribute ``streams`` is used), ``{stream: scalar}``, or a
                plain scalar.
            retain_graph: Keep the graph after the last stream.
        """
        streams = as_streams(loss)
        losses = sum_losses(streams, self.optimizer.leaders())
        self._observation.add(streams, self._scale)
        order = [s for s in backward_order(self.optimizer) if s in losses]
        # should_update speaks of the count after this iteration.
        self._inner_count += 1
        # After a backward of the user's own another may follow.
        complete = self._in_update_params and self.should_update()
        for leader in order:
            self._held.add(leader, stream_gradients(
                self._scale(losses.pop(leader)), self._parameters(),
                retain_graph or leader != order[-1]))
            if complete:
                self._held.send(last=leader)

    def step(self, **kwargs: Any) -> None:
        """Average over ranks, clip, and update the parameters.

        Args:
            kwargs: Passed to the optimizer's ``step``.
        """
        if not self._held.streams and any(
                p.grad is not None for p in self._parameters()):
            # Gradients in p.grad, from a backward of the user's own.
            super().step(**kwargs)
            return
        self._update(self._held.collect(), **kwargs)

    def zero_grad(self, **kwargs: Any) -> None:
        """Forget the gradients of this update."""
        self._held.forget()
        self._guard.forget()
        self._observation.forget()
        super().zero_grad(**kwargs)

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Load the optimizer's state; what it warns of goes into the log.

        Args:
            state_dict: From this wrapper, or MMEngine's around a plain SGD
                or AdamW.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            super().load_state_dict(state_dict)
        for warning in caught:
            print_log(str(warning.message), 'current', logging.WARNING)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Prepare for a forward: no backward here wakes DDP's reducer.

        Args:
            model: The model, possibly wrapped.
        """
        self._guard.before_forward(model)
        yield

    def _scale(self, loss: Tensor) -> Tensor:
        """Scale the loss before its backward (for half precision)."""
        return loss

    def _update(self, grads: Dict[str, Gradients], **kwargs: Any) -> None:
        """Check, clip and step."""
        clip = bool(self.clip_grad_kwargs and grads)
        if clip:
            expose_sum(self._parameters(), grads)
            sizes, factor = self._clip_sum()
        else:
            sizes = gradient_size(grads)
        finite, numbers, final = self._held.measure(self._guard.losses, sizes)
        if not final:
            self._update(self._held.streams, **kwargs)
            return
        if not (finite and all(map(math.isfinite, numbers))):
            self._reject(grads)
            return
        self._observation.show(grads)
        if clip and sizes:
            self._log_norm(numbers[0])
            grads = rescaled(self._parameters(), grads, factor)
        # Empty: no rank has a gradient for any parameter.
        if grads:
            self.optimizer.step(stream_grads=grads, **kwargs)

    def _reject(self, grads: Dict[str, Gradients],
                advice: str = ADVICE) -> None:
        """Stop, or leave the update out; all ranks are here."""
        found = self._guard.bad_losses()
        if not found:
            # Streams that share a momentum have one gradient.
            leaders = self.optimizer.leaders()
            present = self._guard.streams
            named = {
                ' + '.join(s for s in present if leaders[s] == leader)
                or leader: values
                for leader, values in grads.items()
            }
            found = bad_gradients(
                self._inner_count, named,
                self._guard.parameter_names(self._parameters()))
        self._guard.reject(found, self.message_hub, advice)

    @property
    def _device(self) -> torch.device:
        return self._parameters()[0].device

    def _parameters(self) -> List[Tensor]:
        return parameters(self.optimizer)

    def _clip_sum(self) -> Tuple[List[Tensor], Tensor]:
        """Clip ``p.grad`` by its norm; return [norm] and the factor applied.

        Without a gradient there is no norm.
        """
        params = [p for p in self._parameters() if p.grad is not None]
        if not params:
            return [], torch.ones(())
        norm = self.clip_func(params, **self.clip_grad_kwargs)
        # As torch.nn.utils.clip_grad_norm_ computes it.
        factor = self.clip_grad_kwargs['max_norm'] / (norm + 1e-6)
        return [norm], torch.clamp(factor, max=1.0)

    def _log_norm(self, norm: float) -> None:
        self.message_hub.update_scalar(f'train/{self.grad_name}', norm)
