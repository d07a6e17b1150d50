"""What the benchmark compares with, as straightforward code has it.

Written here after the released DeepKD code (losses, three backwards, a loop
over the parameters with three buffers) and the KD of mdistiller. One thing is
left out, to the release's advantage: its optimizer compares every parameter
with every other to find the gradients of a stream, which costs time without
any use.
"""
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer


def kd_loss(logits_student: Tensor, logits_teacher: Tensor,
            temperature: float) -> Tensor:
    """Return KD as mdistiller has it, a scalar."""
    log_student = F.log_softmax(logits_student / temperature, dim=1)
    teacher = F.softmax(logits_teacher / temperature, dim=1)
    loss = F.kl_div(log_student, teacher, reduction='none').sum(1).mean()
    return loss * temperature**2


def released_losses(logits_student: Tensor,
                    logits_teacher: Tensor,
                    target: Tensor,
                    temperature: float,
                    topk: Optional[int] = None,
                    base: str = 'kd',
                    weights: Tuple[float, float] = (1.0, 1.0)
                    ) -> Dict[str, Tensor]:
    """Return the losses of the streams by the formula as released.

    Probabilities and their logarithm for the target, a mask of -1000 for the
    non-target classes, which are computed without and then with the top-k
    mask.

    Args:
        logits_student: (N, C).
        logits_teacher: (N, C).
        target: (N,).
        temperature: The temperature.
        topk: K, counted with the target; None: no mask.
        base: 'kd' weighs the non-target term by 1 - p, 'dkd' does not.
        weights: alpha and beta; the release has them over DKD only.

    Returns:
        ``{stream: scalar}``.
    """
    count = target.shape[0]
    is_target = torch.zeros_like(logits_student).scatter_(
        1, target.unsqueeze(1), 1).bool()
    others = torch.ones_like(logits_student).scatter_(
        1, target.unsqueeze(1), 0).bool()
    student = F.softmax(logits_student / temperature, dim=1)
    teacher = F.softmax(logits_teacher / temperature, dim=1)
    student = _two_way(student, is_target, others)
    teacher_two = _two_way(teacher, is_target, others)
    tckd = F.kl_div(torch.log(student), teacher_two, reduction='sum')
    tckd = tckd * temperature**2 / count
    nckd = _masked(logits_student, logits_teacher, is_target, temperature)
    if topk is not None:
        best = logits_teacher.topk(topk, dim=1).indices
        kept = torch.zeros_like(is_target).scatter_(1, best, True) & others
        nckd = _masked(logits_student, logits_teacher, ~kept, temperature)
    if base == 'kd':
        mass = 1 - (teacher * is_target).sum(1, keepdim=True)
        nckd = (mass * nckd).mean()
    return dict(target=weights[0] * tckd, non_target=weights[1] * nckd)


def _two_way(probabilities: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([(probabilities * mask).sum(1, keepdim=True)
                      for mask in (first, second)], dim=1)


def _masked(logits_student: Tensor, logits_teacher: Tensor, removed: Tensor,
            temperature: float) -> Tensor:
    penalty = 1000.0 * removed
    teacher = F.softmax(logits_teacher / temperature - penalty, dim=1)
    student = F.log_softmax(logits_student / temperature - penalty, dim=1)
    loss = F.kl_div(student, teacher, reduction='sum')
    return loss * temperature**2 / logits_student.shape[0]


class ReleasedLoop(Optimizer):
    """The released update: a loop over parameters, a buffer per stream.

    The task stream has the target's momentum, weight decay is added in the
    target stream, after the other two have moved the parameter.

    Args:
        params: The parameters.
        lr: Learning rate.
        momentum: ``{stream: momentum}``, in the order of the updates.
        weight_decay: L2 factor.
    """

    def __init__(self, params: Any, lr: float, momentum: Dict[str, float],
                 weight_decay: float) -> None:
        super().__init__(params, dict(lr=lr, weight_decay=weight_decay))
        self.momentum = momentum

    @torch.no_grad()
    def step(self, stream_grads: Dict[str, Sequence[Optional[Tensor]]]
             ) -> None:
        """Update every parameter, stream after stream."""
        for group in self.param_groups:
            for i, param in enumerate(group['params']):
                for stream, momentum in self.momentum.items():
                    grad = stream_grads[stream][i]
                    if grad is not None:
                        self._update(param, grad, stream, momentum, group)

    def _update(self, param: Tensor, grad: Tensor, stream: str,
                momentum: float, group: Dict[str, Any]) -> None:
        if stream == 'target' and group['weight_decay']:
            grad = grad.add(param, alpha=group['weight_decay'])
        state = self.state[param]
        if stream not in state:
            state[stream] = torch.clone(grad).detach()
        else:
            state[stream].mul_(momentum).add_(grad)
        param.add_(state[stream], alpha=-group['lr'])


def released_momentum(momentum: float, delta: float) -> Dict[str, float]:
    """Return the momentum of each stream as released, in its order."""
    return dict(
        task=momentum - delta,
        non_target=momentum + delta,
        target=momentum - delta)


def backward_by_stream(streams: Dict[str, Tensor], params: Sequence[Tensor],
                       lap: Any) -> Dict[str, List[Optional[Tensor]]]:
    """Run one ``backward`` per stream, its gradients copied aside."""
    found: Dict[str, List[Optional[Tensor]]] = {}
    for stream in ('non_target', 'target', 'task'):
        for param in params:
            param.grad = None
        streams[stream].backward(retain_graph=stream != 'task')
        found[stream] = [
            None if p.grad is None else p.grad.clone() for p in params
        ]
        lap(f'backward: {stream}')
    return found
