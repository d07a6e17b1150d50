"""AdamW whose gradient arrives in streams, each with its own momentum."""
from typing import Any, Dict, Iterable, Mapping, Optional, Sequence, Tuple

from torch import Tensor

from .base import DecoupledOptimizer
from .moments import FIRST, adamw_step
from .streams import Gradients


class DecoupledAdamW(DecoupledOptimizer):
    r"""AdamW over gradient streams.

    Every stream :math:`s` has a first moment of its own, with
    :math:`b_s = \beta_1 + o_s`; the second moment is that of the summed
    gradient. Our extension of DeepKD (arXiv 2505.15133, Sec. 3.2), which
    decouples SGD, to AdamW (arXiv 1711.05101, Algorithm 2):

    .. math::
        p \leftarrow (1 - \eta \lambda)\, p - \eta \sum_s
        \hat m_s \big/ \big(\sqrt{\hat v} + \epsilon\big)

    Weight decay enters once, from the parameter before the update. With all
    offsets 0 this is :class:`torch.optim.AdamW` on the sum of the streams,
    since a first moment is linear in the gradient; for the same reason
    streams with equal offsets share one (``merge``).

    An offset means less here than in SGD. There a steady gradient :math:`g`
    moves the parameter by :math:`\eta g / (1 - \mu - o_s)` per step: at 0.9,
    +0.05 doubles the weight of a stream and -0.05 takes a third off it. A
    first moment is a bias-corrected *average*, :math:`\hat m_s \to g` for
    every :math:`b_s`: an offset changes over how many steps a stream is
    averaged, not how much it weighs. Only the weights of the losses do that.

    ``step()`` without argument is :class:`torch.optim.AdamW` on ``p.grad``:
    one stream named ``plain``, whose momentum is ``betas[0]``.

    Args:
        params: Parameters or parameter groups, as for every torch optimizer.
        lr: Learning rate, >= 0.
        betas: :math:`\beta_1`, the base momentum, which schedulers may move,
            and :math:`\beta_2` in [0, 1).
        offsets: ``{stream: offset}``; the momentum of a stream is
            ``betas[0] + offset`` and must stay in [0, 1). It must name
            ``task``. ``None`` means 0 for task, target and non_target.
        eps: Added to the root of the second moment, >= 0.
        weight_decay: Decoupled decay :math:`\lambda`, >= 0.
        merge: Let streams of equal offset share one first moment. Turn it
            off when offsets are going to change during training.

    Raises:
        ValueError: A hyper-parameter is out of range.

    Example:
        >>> optimizer = DecoupledAdamW(
        ...     net.parameters(),
        ...     offsets=dict(task=0.05, target=-0.05, non_target=0.05))
        >>> optimizer.step({name: list(torch.autograd.grad(
        ...     loss, list(net.parameters()), retain_graph=True))
        ...     for name, loss in stream_losses.items()})
    """

    plain_name = 'AdamW'
    buffer_kind = FIRST

    def __init__(self,
                 params: Iterable[Any],
                 lr: float = 1e-3,
                 betas: Tuple[float, float] = (0.9, 0.999),
                 offsets: Optional[Mapping[str, float]] = None,
                 eps: float = 1e-8,
                 weight_decay: float = 1e-2,
                 merge: bool = True) -> None:
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        super().__init__(params, defaults, offsets, merge)

    def _check_group(self, group: Mapping[str, Any]) -> None:
        if not 0 <= group['betas'][1] < 1:
            raise ValueError("DecoupledAdamW's betas[1] must be in [0, 1), "
                             f'got {group["betas"][1]}.')
        if not group['eps'] >= 0:
            raise ValueError(
                f'DecoupledAdamW needs eps >= 0, got {group["eps"]}.')

    def _settings(self, group: Mapping[str, Any]) -> Tuple[Any, ...]:
        return (float(group['lr']), *group['betas'], group['eps'],
                group['weight_decay'])

    def _age(self, param: Tensor) -> float:
        # Bias correction needs the number of steps that a parameter took.
        return float(self.state[param].get('step', 0))

    def _update(self, params: Sequence[Tensor], grads: Mapping[str, Gradients],
                group: Mapping[str, Any]) -> None:
        adamw_step(params, grads, group, self.state)

    def __setstate__(self, state: Dict[str, Any]) -> None:
        """Restore a state; ``step`` returns to the CPU."""
        super().__setstate__(state)
        for held in self.state.values():
            if 'step' in held:
                # Loaded onto a GPU, reading it would make the host wait.
                held['step'] = held['step'].cpu()
