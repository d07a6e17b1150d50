"""SGD whose gradient arrives in streams, each with its own momentum."""
import warnings
from typing import (
    Any,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import torch
from torch import Tensor
from torch.optim import Optimizer

from .momentum import Gradients, momentum_step
from .released import check_released_streams, released_step
from .streams import (
    PLAIN,
    STREAMS,
    buffer_key,
    check_group,
    gradient_sum,
    merge_by_offset,
)


class DecoupledSGD(Optimizer):
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

    Raises:
        ValueError: A hyper-parameter is out of range.

    Example:
        >>> optimizer = DecoupledSGD(
        ...     net.parameters(), lr=0.1,
        ...     offsets=dict(task=0.05, target=-0.05, non_target=0.05))
        >>> optimizer.step({name: list(torch.autograd.grad(
        ...     loss, list(net.parameters()), retain_graph=True))
        ...     for name, loss in stream_losses.items()})
    """

    def __init__(self,
                 params: Iterable[Any],
                 lr: float,
                 momentum: float = 0.9,
                 offsets: Optional[Mapping[str, float]] = None,
                 weight_decay: float = 0.0,
                 dampening: Union[float, str] = 0.0,
                 semantics: str = 'paper',
                 merge: bool = True) -> None:
        if semantics not in ('paper', 'released'):
            raise ValueError("DecoupledSGD's semantics must be 'paper' or "
                             f"'released', got {semantics!r}.")
        offsets = dict.fromkeys(STREAMS, 0.0) if offsets is None else offsets
        defaults = dict(
            lr=lr,
            momentum=momentum,
            offsets=dict(offsets),
            weight_decay=weight_decay,
            dampening=dampening)
        self.semantics = semantics
        self.merge = merge and semantics == 'paper'
        super().__init__(params, defaults)

    def add_param_group(self, param_group: Dict[str, Any]) -> None:
        """Add a group after checking its hyper-parameters."""
        group = {**self.defaults, **param_group}
        check_group(group)
        if self.semantics == 'released':
            check_released_streams(group)
        streams = list(self.defaults['offsets'])
        if sorted(group['offsets']) != sorted(streams):
            raise ValueError(
                'all groups of DecoupledSGD need an offset for each of the '
                f'streams {", ".join(streams)}, got '
                f'{", ".join(group["offsets"])}')
        # A dict in `defaults` would otherwise be one object in every group.
        param_group['offsets'] = dict(group['offsets'])
        super().add_param_group(param_group)

    def leaders(self) -> Dict[str, str]:
        """Map every stream to the stream whose buffer it uses.

        Returns:
            ``{stream: leader}``, in the order of ``offsets``, then
            ``{'plain': 'plain'}``. Gradients of streams with one leader may
            be summed before they are passed to :meth:`step`.
        """
        all_offsets = [group['offsets'] for group in self.param_groups]
        names = list(all_offsets[0])
        if self.merge:
            leaders = merge_by_offset(names, all_offsets)
        else:
            leaders = {name: name for name in names}
        return {**leaders, PLAIN: PLAIN}

    @torch.no_grad()
    def step(  # type: ignore[override]
            self,
            stream_grads: Optional[Mapping[str, Gradients]] = None) -> None:
        """Update the parameters.

        Args:
            stream_grads: ``{stream: gradients}``, each list in the order of
                the parameters over all groups. ``None`` in place of a
                gradient, or a stream that is not given, is a zero gradient
                wherever the parameter gets a gradient from another stream;
                a parameter with no gradient at all is skipped. Nothing is
                modified or kept. Without it ``p.grad`` is the stream
                ``plain``.

        Raises:
            KeyError: A stream is not in ``offsets``.
            ValueError: A list has the wrong length, or a momentum is outside
                [0, 1).
            RuntimeError: ``plain`` is mixed with other streams.
        """
        params = [p for group in self.param_groups for p in group['params']]
        if stream_grads is None:
            stream_grads = {PLAIN: [p.grad for p in params]}
        grads = self._by_leader(stream_grads, len(params))
        self._check_plain(grads)
        released = self.semantics == 'released' and PLAIN not in grads
        update = released_step if released else momentum_step
        settings = [g for g in self.param_groups for _ in g['params']]
        for members in _buckets(params, settings, grads):
            update([params[i] for i in members],
                   {name: [g[i] for i in members]
                    for name, g in grads.items()},
                   settings[members[0]], self.state)

    def _by_leader(self, stream_grads: Mapping[str, Gradients],
                   length: int) -> Dict[str, Gradients]:
        """Sum the gradients of streams that share a buffer."""
        leaders = self.leaders()
        grads: Dict[str, Gradients] = {}
        for stream, values in stream_grads.items():
            if stream not in leaders:
                raise KeyError(
                    f'stream {stream!r} has no momentum: add it to the '
                    f'offsets of DecoupledSGD, which knows '
                    f'{", ".join(leaders)}.')
            if len(values) != length:
                raise ValueError(
                    f'stream {stream!r} has {len(values)} gradients for '
                    f'{length} parameters; pass one (or None) for each.')
            leader = leaders[stream]
            grads[leader] = values if leader not in grads else gradient_sum(
                [grads[leader], values])
        # Buffers of streams that are absent in this step decay and act.
        for leader in dict.fromkeys(leaders.values()):
            if leader != PLAIN and PLAIN not in grads:
                grads.setdefault(leader, [None] * length)
        return grads

    def _check_plain(self, grads: Mapping[str, Gradients]) -> None:
        plain = PLAIN in grads
        state = next((s for s in self.state.values() if s), None)
        mixed = plain and len(grads) > 1
        if mixed or (state is not None
                     and plain != (buffer_key(PLAIN) in state)):
            raise RuntimeError(
                'this optimizer has been stepped with '
                f'{"streams" if plain else "a plain loss"} and is now given '
                f'{"a plain loss" if plain else "streams"}: their momentum '
                'buffers do not mix; use one of the two during a run.')

    def __getstate__(self) -> Dict[str, Any]:
        """Return all that a copy or a pickle needs."""
        return {
            **super().__getstate__(), 'semantics': self.semantics,
            'merge': self.merge
        }

    def __setstate__(self, state: Dict[str, Any]) -> None:
        """Restore a state, a plain SGD's too, and fold merged buffers."""
        super().__setstate__(state)
        foreign = False
        for group in self.param_groups:
            foreign |= 'offsets' not in group
            group.setdefault('offsets', dict(self.defaults['offsets']))
        if foreign:
            for buffers in self.state.values():
                buffers.pop('momentum_buffer', None)
            warnings.warn(
                'the checkpoint holds the state of a plain SGD: DecoupledSGD '
                'keeps its learning rates and momentum, takes the offsets '
                'from the config and starts its stream buffers at zero.',
                stacklevel=3)
        self._fold_buffers()

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Load a state; a difference to the configured offsets is told."""
        configured = [dict(g['offsets']) for g in self.param_groups]
        super().load_state_dict(state_dict)
        for group, asked in zip(self.param_groups, configured):
            if group['offsets'] != asked:
                warnings.warn(
                    'the checkpoint trained with momentum offsets '
                    f'{group["offsets"]}, the config asks for {asked}; '
                    'resuming keeps those of the checkpoint. To change them '
                    'start a new run with `load_from` instead of `resume`.',
                    stacklevel=2)
                break

    def _fold_buffers(self) -> None:
        """Add buffers of merged streams to their leader's (exact: linear)."""
        for stream, leader in self.leaders().items():
            if stream == leader:
                continue
            for buffers in self.state.values():
                buffer = buffers.pop(buffer_key(stream), None)
                if buffer is None:
                    continue
                key = buffer_key(leader)
                buffers[key] = buffer + buffers[key] \
                    if key in buffers else buffer


def _buckets(params: Sequence[Tensor], settings: Sequence[Dict[str, Any]],
             grads: Mapping[str, Gradients]) -> Iterable[List[int]]:
    """Group the indices of parameters that can be updated together.

    ``paramwise_cfg`` makes a group per parameter: foreach over a group would
    be a loop. Parameters without any gradient are left out.
    """
    buckets: Dict[Tuple[Any, ...], List[int]] = {}
    for i, (param, group) in enumerate(zip(params, settings)):
        if all(g[i] is None for g in grads.values()):
            continue
        key = (float(group['lr']), group['momentum'], group['weight_decay'],
               group['dampening'], tuple(group['offsets'].items()),
               param.device, param.dtype)
        buckets.setdefault(key, []).append(i)
    return buckets.values()
