"""The modules of feature losses by themselves: forward and backward."""
from typing import Any, Callable, Dict, List, NamedTuple

import torch
from torch import Tensor, nn

from .comparison import Plan
from .memory import peak_bytes
from .timing import Laps, no_lap


class Call(NamedTuple):
    """A call of a feature loss in a step.

    Attributes:
        loss: The loss.
        adapter: Its modules.
        student: The student's feature, a leaf.
        teacher: The teacher's.
        place: Where they are from.
    """

    loss: nn.Module
    adapter: nn.Module
    student: Tensor
    teacher: Tensor
    place: str


class Alone:
    """All calls of a step's feature losses, without student and teacher.

    Args:
        distiller: In training mode; a step of it is run to get the features.
        batch: As a dataloader gives it.
    """

    def __init__(self, distiller: nn.Module, batch: Any) -> None:
        self.calls = record_calls(distiller, batch)
        self.params = [p for call in self.calls
                       for p in call.adapter.parameters()]

    def __call__(self, lap: Callable[[str], None] = no_lap) -> None:
        """Run forward and backward; call ``lap`` after each."""
        total = sum(value for call in self.calls for value in
                    call.loss(*call[1:4], place=call.place).losses.values())
        lap('forward')
        torch.autograd.grad(
            total, [*self.params, *(call.student for call in self.calls)])
        lap('backward')


def record_calls(distiller: nn.Module, batch: Any) -> List[Call]:
    """Return what the feature losses of a distiller are called with.

    Args:
        distiller: In training mode.
        batch: As a dataloader gives it.
    """
    calls: List[Call] = []

    def keep(loss: nn.Module, args: Any, kwargs: Any) -> None:
        adapter, student, teacher = args
        calls.append(Call(loss, adapter, student.detach().requires_grad_(),
                          teacher.detach(), kwargs['place']))

    handles = [loss.register_forward_pre_hook(keep, with_kwargs=True)
               for loss in distiller.losses
               if getattr(loss, 'needs_adapter', False)]
    data = distiller.data_preprocessor(batch, training=True)
    with torch.no_grad():
        distiller(**data, mode='loss')
    for handle in handles:
        handle.remove()
    return calls


def adapters_alone(variants: Dict[str, Alone],
                   plan: Plan) -> Dict[str, Any]:
    """Time the modules by themselves, in turn, and measure their memory.

    Args:
        variants: By name.
        plan: How much is measured.

    Returns:
        ``{variant: facts}``: seconds of forward and backward by round,
        peak_bytes and the number of parameters.
    """
    laps = {name: Laps(plan.device) for name in variants}
    for alone in variants.values():
        alone()
    for number in range(plan.rounds):
        order = list(variants)
        for name in order if number % 2 == 0 else order[::-1]:
            laps[name].start()
            variants[name](laps[name])
    plan.say('  the modules alone')
    return {
        name: dict(seconds=laps[name].times,
                   peak_bytes=peak_bytes(alone, plan.device),
                   parameters=sum(p.numel() for p in alone.params))
        for name, alone in variants.items()}
