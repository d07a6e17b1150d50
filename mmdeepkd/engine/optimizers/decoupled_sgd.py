"""SGD whose gradient arrives in streams, each with its own momentum."""
from typing import (
    Any,
    Dict,
    Iterable,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import torch
from torch import Tensor

from .base import DecoupledOptimizer
from .fused import fused_kernel
from .momentum import momentum_step
from .released import (
    check_released_streams,
    released_momentum,
    released_step,
)
from .streams import PLAIN, Gradients


class DecoupledSGD(DecoupledOptimizer):
    r"""Momentum SGD over gradient streams.

    Every stream :math:`s` has a buffer of its own, and the parameter follows
    the sum of the buffers (DeepKD, arXiv 2505.15133; with the two streams
    task and distill DOT, arXiv 2307.08436):

    .. math::
        v_s \leftarrow (\mu + o_s)\, v_s + (1 - d)\, g_s, \qquad
        p \leftarrow p - \eta \sum_s v_s

    Weight decay enters once, in the task stream, from the parameter before
    the update. With all offsets 0 this is :class:`torch.optim.SGD` on the sum
    of the streams, since momentum is linear in the gradient; for the same
    reason streams with equal offsets share one buffer (``merge``).

    ``step()`` without argument is :class:`torch.optim.SGD` on ``p.grad``: one
    stream named ``plain``, whose momentum is ``momentum``.

    Args:
        params: Parameters or parameter groups, as for every torch optimizer.
        lr: Learning rate, >= 0.
        momentum: Base momentum :math:`\mu`. Schedulers may move it.
        offsets: ``{stream: offset}``; the momentum of a stream is
            ``momentum + offset`` and must stay in [0, 1). It must name
            ``task``. ``None`` means 0 for task, target and non_target.
        weight_decay: L2 factor, >= 0.
        dampening: A number in [0, 1): the first step is undamped, as in torch.
            ``'ema'``: 1 - momentum of the stream, from the first step.
        semantics: ``'paper'``, or ``'released'`` to reproduce the authors'
            code (see :mod:`mmdeepkd.engine.optimizers.released`).
        merge: Let streams of equal offset share one buffer. Turn it off when
            offsets are going to change during training.
        fused: Use torch's fused SGD, one pass in place of three. ``None``:
            where it gives the very numbers of separate operations (on the
            CPU, for parameters of whole vectors: those of a network mostly
            are); separate operations elsewhere, as torch does by itself.
            ``True``: wherever parameter, gradient and buffer have one layout;
            results may differ in the last bit. ``False``: nowhere. It is no
            part of the state: a run may be resumed with another choice, or
            under a torch that has no fused SGD.

    Raises:
        ValueError: A hyper-parameter is out of range, or ``fused=True`` is
            asked for with ``semantics='released'`` or for a parameter for
            which torch has no fused SGD that works.

    Example:
        >>> optimizer = DecoupledSGD(
        ...     net.parameters(), lr=0.1,
        ...     offsets=dict(task=0.05, target=-0.05, non_target=0.05))
        >>> optimizer.step({name: list(torch.autograd.grad(
        ...     loss, list(net.parameters()), retain_graph=True))
        ...     for name, loss in stream_losses.items()})
    """

    plain_name = 'SGD'
    buffer_kind = 'momentum_buffer'

    def __init__(self,
                 params: Iterable[Any],
                 lr: float,
                 momentum: float = 0.9,
                 offsets: Optional[Mapping[str, float]] = None,
                 weight_decay: float = 0.0,
                 dampening: Union[float, str] = 0.0,
                 semantics: str = 'paper',
                 merge: bool = True,
                 fused: Optional[bool] = None) -> None:
        if semantics not in ('paper', 'released'):
            raise ValueError("DecoupledSGD's semantics must be 'paper' or "
                             f"'released', got {semantics!r}.")
        if semantics == 'released' and fused:
            raise ValueError("DecoupledSGD's semantics='released' has no "
                             'fused form: leave fused=True out.')
        self.semantics = semantics
        self.fused = fused
        defaults = dict(
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            dampening=dampening)
        super().__init__(params, defaults, offsets, merge
                         and semantics == 'paper')

    def add_param_group(self, param_group: Dict[str, Any]) -> None:
        """Add a group after checking its hyper-parameters and kernels."""
        super().add_param_group(param_group)
        for param in self.param_groups[-1]['params'] if self.fused else ():
            device, dtype = param.device.type, param.dtype
            if not fused_kernel(device, dtype)[0]:
                raise ValueError(
                    f'torch {torch.__version__} has no fused SGD for a '
                    f'parameter of {dtype} on {device}: leave fused=True out '
                    'of the SGD of the config.')

    def momentum_of(self, stream: str, group: Mapping[str, Any]) -> float:
        """Return the momentum with which a stream trains in a group.

        DeepKD's released optimizer (``semantics='released'``) decays the task
        buffer with the target's momentum.

        Args:
            stream: Name of the stream, or ``'plain'``.
            group: One of the parameter groups.

        Raises:
            ValueError: It is outside [0, 1).
        """
        if self.semantics == 'released' and stream != PLAIN:
            return released_momentum(stream, group)
        return super().momentum_of(stream, group)

    def _check_group(self, group: Mapping[str, Any]) -> None:
        dampening = group['dampening']
        if dampening != 'ema' and not (isinstance(dampening, (int, float))
                                       and 0 <= dampening < 1):
            raise ValueError("DecoupledSGD's dampening must be in [0, 1) or "
                             f"'ema', got {dampening!r}.")
        if self.semantics == 'released':
            check_released_streams(group)

    def _settings(self, group: Mapping[str, Any]) -> Tuple[Any, ...]:
        return (float(group['lr']), group['momentum'], group['weight_decay'],
                group['dampening'])

    def _update(self, params: Sequence[Tensor], grads: Mapping[str, Gradients],
                group: Mapping[str, Any]) -> None:
        if self.semantics == 'released' and PLAIN not in grads:
            released_step(params, grads, group, self.state)
        else:
            momentum_step(params, grads, group, self.state, self.fused)

    def __getstate__(self) -> Dict[str, Any]:
        """Return all that a copy or a pickle needs."""
        return {**super().__getstate__(), 'semantics': self.semantics,
                'fused': self.fused}
