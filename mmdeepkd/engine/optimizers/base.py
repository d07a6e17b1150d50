"""What the optimizers over gradient streams share."""
import itertools
import warnings
from typing import (
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

import torch
from torch import Tensor
from torch.optim import Optimizer

from .plain import DROPPED_OPTIONS, refused_options
from .streams import (
    PLAIN,
    STREAMS,
    Gradients,
    buffer_key,
    check_group,
    check_momentum,
    merge_by_offset,
    sum_by_leader,
)


class DecoupledOptimizer(Optimizer):
    """An optimizer whose gradient arrives in streams.

    A subclass says how parameters with equal settings are updated; which
    gradient belongs to which buffer, checks and resuming are here.

    Args:
        params: Parameters or parameter groups, as for every torch optimizer.
        defaults: Hyper-parameters of a group.
        offsets: ``{stream: offset}``, or ``None`` for 0 for task, target and
            non_target.
        merge: Let streams of equal offset share one buffer.

    Raises:
        ValueError: A hyper-parameter is out of range.
    """

    # The torch optimizer that this one is with offsets of 0, and what that
    # one calls its momentum buffer.
    plain_name: str
    buffer_kind: str

    def __init__(self, params: Iterable[Any], defaults: Dict[str, Any],
                 offsets: Optional[Mapping[str, float]], merge: bool) -> None:
        offsets = dict.fromkeys(STREAMS, 0.0) if offsets is None else offsets
        self.merge = merge
        super().__init__(params, {**defaults, 'offsets': dict(offsets)})

    def add_param_group(self, param_group: Dict[str, Any]) -> None:
        """Add a group after checking its hyper-parameters."""
        group = {**self.defaults, **param_group}
        check_group(group, type(self).__name__)
        self._check_group(group)
        streams = list(self.defaults['offsets'])
        if sorted(group['offsets']) != sorted(streams):
            raise ValueError(
                f'all groups of {type(self).__name__} need an offset for each '
                f'of the streams {", ".join(streams)}, got '
                f'{", ".join(group["offsets"])}')
        # A dict in `defaults` would otherwise be one object in every group.
        param_group['offsets'] = dict(group['offsets'])
        super().add_param_group(param_group)

    def leaders(self) -> Dict[str, str]:
        """Map every stream to the stream whose buffer it uses.

        Returns:
            ``{stream: leader}``, task first, then in the order of
            ``offsets``, then ``{'plain': 'plain'}``. Gradients of streams
            with one leader may be summed before they are passed to
            :meth:`step`.
        """
        all_offsets = [group['offsets'] for group in self.param_groups]
        # The weight decay is in the stream of this name.
        names = sorted(all_offsets[0], key=lambda name: name != 'task')
        if self.merge:
            leaders = merge_by_offset(names, all_offsets)
        else:
            leaders = {name: name for name in names}
        return {**leaders, PLAIN: PLAIN}

    def momentum_of(self, stream: str, group: Mapping[str, Any]) -> float:
        """Return the momentum with which a stream trains in a group.

        Args:
            stream: Name of the stream, or ``'plain'``.
            group: One of the parameter groups.

        Raises:
            ValueError: It is outside [0, 1).
        """
        return check_momentum(stream, group)

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
        grads = sum_by_leader(stream_grads, self.leaders(), len(params))
        self._check_plain(grads)
        for group, members in self._buckets(grads):
            self._update([params[i] for i in members],
                         {name: [g[i] for i in members]
                          for name, g in grads.items()}, group)

    def _check_group(self, group: Mapping[str, Any]) -> None:
        """Raise unless the subclass's own hyper-parameters are in range."""
        raise NotImplementedError

    def _settings(self, group: Mapping[str, Any]) -> Tuple[Any, ...]:
        """Return what groups must share to be updated together."""
        raise NotImplementedError

    def _age(self, param: Tensor) -> float:
        """Return what parameters of equal settings must share, too."""
        return 0.0

    def _update(self, params: Sequence[Tensor], grads: Mapping[str, Gradients],
                group: Mapping[str, Any]) -> None:
        """Update parameters that share all settings; all have a gradient."""
        raise NotImplementedError

    def _check_plain(self, grads: Mapping[str, Gradients]) -> None:
        plain = PLAIN in grads
        state = next((s for s in self.state.values() if s), None)
        mixed = plain and len(grads) > 1
        if mixed or (state is not None and plain !=
                     (buffer_key(PLAIN, self.buffer_kind) in state)):
            raise RuntimeError(
                'this optimizer has been stepped with '
                f'{"streams" if plain else "a plain loss"} and is now given '
                f'{"a plain loss" if plain else "streams"}: their momentum '
                'buffers do not mix; use one of the two during a run.')

    def _buckets(
            self, grads: Mapping[str, Gradients]
    ) -> Iterator[Tuple[Mapping[str, Any], List[int]]]:
        """Yield a group and the parameters that can be updated by it together.

        ``paramwise_cfg`` makes a group per parameter: foreach over a group
        would be a loop. Parameters without any gradient are left out.
        """
        # Settings are compared per group, not per parameter: it is cheaper.
        alike: Dict[Tuple[Any, ...], Tuple[Dict[str, Any], Dict[
            Tuple[Any, ...], List[int]]]] = {}
        first, *others = grads.values()
        indices = itertools.count()
        for group in self.param_groups:
            key = (*self._settings(group), *group['offsets'].items())
            _, buckets = alike.setdefault(key, (group, {}))
            # In this order zip takes no index beyond those of the group.
            for param, index in zip(group['params'], indices):
                if first[index] is None and all(
                        g[index] is None for g in others):
                    continue
                own = (param.device, param.dtype, self._age(param))
                buckets.setdefault(own, []).append(index)
        for group, buckets in alike.values():
            for members in buckets.values():
                yield group, members

    def __getstate__(self) -> Dict[str, Any]:
        """Return all that a copy or a pickle needs."""
        return {**super().__getstate__(), 'merge': self.merge}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        """Restore a state, a plain optimizer's too; fold merged buffers."""
        super().__setstate__(state)
        foreign = [g for g in self.param_groups if 'offsets' not in g]
        if foreign:
            self._adopt(foreign)
        self._fold_buffers()
        self._lay_out_buffers()

    def _adopt(self, groups: Sequence[Dict[str, Any]]) -> None:
        """Make groups of a plain optimizer those of this one; tell it."""
        refused = sorted({name for g in groups for name in refused_options(g)})
        for group in groups:
            group['offsets'] = dict(self.defaults['offsets'])
            for name in DROPPED_OPTIONS:
                group.pop(name, None)
        self.state.clear()
        without = f', drops {", ".join(refused)}' if refused else ''
        warnings.warn(
            f'the checkpoint holds the state of a plain {self.plain_name}: '
            f'{type(self).__name__} keeps its learning rates and momentum'
            f'{without}, takes the offsets from the config and starts its '
            'stream buffers at zero.',
            stacklevel=4)

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Load a state; a difference to the configured offsets is told.

        Raises:
            ValueError: It is the state of an optimizer of another kind.
        """
        lacks = [
            key for key in self.defaults if key != 'offsets' and any(
                key not in group for group in state_dict['param_groups'])
        ]
        if lacks:
            raise ValueError(
                'the checkpoint was trained with another kind of optimizer '
                f'than {type(self).__name__}: its groups lack '
                f'{", ".join(lacks)}; resume with that optimizer, or start a '
                'new run with `load_from`.')
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
                buffer = buffers.pop(
                    buffer_key(stream, self.buffer_kind), None)
                if buffer is None:
                    continue
                key = buffer_key(leader, self.buffer_kind)
                buffers[key] = buffer + buffers[key] \
                    if key in buffers else buffer

    def _lay_out_buffers(self) -> None:
        """Give loaded buffers the memory format of their parameters.

        A run may be resumed in another one; fused and foreach kernels are
        for tensors of one format.
        """
        for param, held in self.state.items():
            for key, value in held.items():
                if value.shape == param.shape and (
                        value.stride() != param.stride()):
                    held[key] = torch.empty_like(
                        param, dtype=value.dtype).copy_(value)
