"""DeepKD's loss alone: forward, and a backward per stream."""
from itertools import product
from typing import Any, Callable, Dict

import torch
from torch import Tensor

from mmdeepkd.losses import DeepKDLoss

from .baselines import released_losses
from .comparison import Plan
from .memory import peak_bytes
from .nets import agreement
from .timing import interleaved, repeats_for

# A batch of ImageNet, the RoIs of two images of COCO; the temperature is
# that of the shipped configs of both.
SIZES = ((512, 1000), (1024, 81))
_TEMPERATURE = 1.0
# alpha and beta of the published DKD runs on CIFAR-100.
_DKD = (1.0, 8.0)

# Of the student's logits, by stream.
Losses = Callable[[Tensor], Dict[str, Tensor]]


def run(plan: Plan) -> Dict[str, Any]:
    """Measure all sizes, bases and masks.

    Args:
        plan: How much is measured.

    Returns:
        ``{case: {ours, released}}``: seconds by round and peak_bytes.
    """
    sizes = ((16, 20), ) if plan.smoke else SIZES
    found = {}
    for size, base, masked in product(sizes, ('kd', 'dkd'), (False, True)):
        # As DynamicTopKHook's middle phase.
        topk = int(0.4 * (size[1] - 1) + 0.5) if masked else None
        name = f'{size}, base {base}, ' + (
            f'K {topk}' if masked else 'no mask')
        plan.say(f'  {name}')
        found[name] = _compare(size, base, topk, plan)
    return dict(setting=f'temperature {_TEMPERATURE:g}; forward, then the '
                "gradient of each stream with respect to the student's "
                'logits', cases=found)


def _compare(size: Any, base: str, topk: Any, plan: Plan) -> Dict[str, Any]:
    logits, arms = make_arms(*size, base, topk, plan.device)
    functions = {name: lambda losses=losses: forward_backward(losses, logits)
                 for name, losses in arms.items()}
    repeats = 1 if plan.smoke else repeats_for(
        functions['released'], plan.device, 0.05)
    seconds = interleaved(functions, plan.rounds, plan.device,
                          lambda line: None, repeats=repeats)
    return {name: dict(seconds=seconds[name],
                       peak_bytes=peak_bytes(functions[name], plan.device))
            for name in functions}


def make_arms(count: int, classes: int, base: str, topk: Any,
              device: str) -> Any:
    """Return the student's logits, and our loss and the released one.

    Raises:
        RuntimeError: They are not the same loss.
    """
    generator = torch.Generator().manual_seed(0)
    logits, teacher = (
        torch.randn(count, classes, generator=generator).mul_(3).to(device)
        for _ in range(2))
    target = torch.randint(classes, (count, ), generator=generator).to(device)
    weights = _DKD if base == 'dkd' else (1.0, 1.0)
    loss = DeepKDLoss(base, *weights, _TEMPERATURE, topk)
    arms: Dict[str, Losses] = {
        'ours': lambda student: loss(student, teacher, target),
        'released': lambda student: released_losses(
            student, teacher, target, _TEMPERATURE, topk, base, weights),
    }
    loss.semantics = 'released'
    agreement({name: {k: float(v) for k, v in losses(logits).items()}
               for name, losses in arms.items()}, 'released',
              dict.fromkeys(arms, 1e-3))
    loss.semantics = 'paper'
    return logits.requires_grad_(), arms


def forward_backward(losses: Losses, logits: Tensor) -> None:
    """Compute the losses and the gradient of each at the logits."""
    streams = list(losses(logits).values())
    for i, stream in enumerate(streams):
        torch.autograd.grad(stream, logits,
                            retain_graph=i + 1 < len(streams))
