"""Steps side by side: losses, times, parts, memory."""
from typing import Any, Dict, NamedTuple

from .memory import peak_bytes, state_bytes, tensor_bytes
from .nets import agreement
from .steps import Step, median_parts
from .timing import Say, interleaved


class Arm(NamedTuple):
    """One of the steps that are compared.

    Attributes:
        title: Name in the tables.
        step: The step.
        tolerance: How far the losses of its first step may be from those of
            the baseline, relatively.
        detailed: Whether its parts and its memory are measured.
    """

    title: str
    step: Step
    tolerance: float
    detailed: bool = True


class Plan(NamedTuple):
    """How much is measured, and where.

    Attributes:
        device: ``'cpu'`` or ``'cuda'``.
        rounds: Rounds of the comparison of whole steps.
        smoke: Whether to use the smallest sizes.
        say: Receives the progress.
    """

    device: str
    rounds: int
    smoke: bool
    say: Say


def compare(arms: Dict[str, Arm], baseline: str, plan: Plan,
            warm_up: int = 2, part_rounds: int = 5) -> Dict[str, Any]:
    """Measure arms that should compute the same thing.

    Args:
        arms: The arms by name.
        baseline: The arm whose losses the others must have.
        plan: How much is measured.
        warm_up: Steps of each arm before the first round.
        part_rounds: Steps whose parts are timed, at most.

    Returns:
        ``{arm: facts}``: title, seconds by round, loss_difference, and where
        detailed parts, peak_bytes, state_bytes and gradient_bytes.

    Raises:
        RuntimeError: An arm computes something else.
    """
    differences = agreement(
        {name: arm.step.losses() for name, arm in arms.items()}, baseline,
        {name: arm.tolerance for name, arm in arms.items()})
    plan.say('  the losses of the first step agree')
    seconds = interleaved({name: arm.step for name, arm in arms.items()},
                          plan.rounds, plan.device, plan.say, warm_up)
    found: Dict[str, Any] = {}
    for name, arm in arms.items():
        found[name] = dict(title=arm.title, seconds=seconds[name],
                           loss_difference=differences[name])
        if arm.detailed:
            found[name].update(_details(arm.step, plan, part_rounds))
            plan.say(f'  parts and memory: {name}')
    return found


def _details(step: Step, plan: Plan, part_rounds: int) -> Dict[str, Any]:
    params = [p for group in step.optimizer.param_groups
              for p in group['params'] if p.requires_grad]
    return dict(
        parts=median_parts(step, min(plan.rounds, part_rounds),
                           plan.device),
        peak_bytes=peak_bytes(step, plan.device),
        state_bytes=state_bytes(step.optimizer),
        gradient_bytes=tensor_bytes(params))
