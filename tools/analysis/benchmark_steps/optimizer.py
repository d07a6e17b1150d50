"""The optimizer's step alone, over the parameters of a ResNet-50."""
import inspect
from typing import Any, Callable, Dict, List

import torch
from torch import Tensor, nn
from torch.optim import SGD
from torchvision.models import resnet18, resnet50

from mmdeepkd.engine import DecoupledSGD

from .baselines import ReleasedLoop, released_momentum
from .comparison import Plan
from .memory import state_bytes
from .timing import interleaved

_LR, _DECAY, _DELTA = 0.1, 1e-4, 0.05
_MOMENTA = dict(task=0.95, target=0.85)
_TOLERANCE = 1e-5

Params = List[nn.Parameter]


def run(plan: Plan) -> Dict[str, Any]:
    """Compare updates of two distinct momenta, and the released three.

    Args:
        plan: How much is measured.

    Returns:
        ``{arm: title, seconds by round, state_bytes}``.

    Raises:
        RuntimeError: Ours and two SGDs end at different parameters.
    """
    net = resnet18(num_classes=10) if plan.smoke else resnet50()
    params = [p.detach().to(plan.device) for p in net.parameters()]
    torch.manual_seed(0)
    grads = {stream: [torch.randn_like(p) * 1e-3 for p in params]
             for stream in ('task', 'target', 'non_target')}
    arms = {name: Update(params, grads, kind)
            for name, kind in _kinds().items()}
    for update in arms.values():
        update()
    _check(arms)
    seconds = interleaved(arms, plan.rounds, plan.device, plan.say,
                          repeats=1 if plan.smoke else 5)
    return dict(
        setting=f'ResNet-{18 if plan.smoke else 50}: {len(params)} tensors, '
        f'{sum(p.numel() for p in params)} numbers; momenta '
        f'{sorted(_MOMENTA.values())}',
        arms={name: dict(title=name, seconds=seconds[name],
                         state_bytes=sum(map(state_bytes, arm.optimizers)))
              for name, arm in arms.items()})


class Update:
    """One update of parameters of its own.

    Args:
        params: Copied.
        grads: ``{stream: gradients}``.
        kind: Returns the optimizers and the update, of parameters.
    """

    def __init__(self, params: List[Tensor], grads: Dict[str, List[Tensor]],
                 kind: Callable[[Params], Any]) -> None:
        self.params = [nn.Parameter(p.clone()) for p in params]
        self.grads = grads
        self.optimizers, self._update = kind(self.params)

    def __call__(self) -> None:
        """Update the parameters."""
        self._update(self.grads)


def _kinds() -> Dict[str, Callable[[Params], Any]]:
    def two_sgd(**options: Any) -> Callable[[Params], Any]:
        return lambda own: _two_sgd(own, options)

    def ours(**options: Any) -> Callable[[Params], Any]:
        return lambda own: _ours(own, options)

    kinds = {
        'two SGD, foreach': two_sgd(foreach=True),
        'two SGD, for loop': two_sgd(foreach=False),
        'released loop, three buffers': _released,
        'ours': ours(),
        'ours, fused=False': ours(fused=False),
    }
    # Older torch has no fused SGD.
    if 'fused' in inspect.signature(SGD).parameters:
        kinds.update({
            'two SGD, fused': two_sgd(fused=True),
            'ours, fused=True': ours(fused=True)
        })
    return kinds


def _two_sgd(params: Params, options: Dict[str, Any]) -> Any:
    # The weight decay is the task stream's.
    sgds = {stream: SGD(params, _LR, momentum,
                        weight_decay=_DECAY if stream == 'task' else 0,
                        **options)
            for stream, momentum in _MOMENTA.items()}

    def update(grads: Dict[str, List[Tensor]]) -> None:
        for stream, sgd in sgds.items():
            for param, grad in zip(params, grads[stream]):
                param.grad = grad
            sgd.step()

    return list(sgds.values()), update


def _ours(params: Params, options: Dict[str, Any]) -> Any:
    optimizer = DecoupledSGD(
        params, _LR, 0.9, dict(task=_DELTA, target=-_DELTA,
                               non_target=_DELTA), _DECAY, **options)

    def update(grads: Dict[str, List[Tensor]]) -> None:
        optimizer.step(dict(task=grads['task'], target=grads['target']))

    return [optimizer], update


def _released(params: Params) -> Any:
    optimizer = ReleasedLoop(params, _LR, released_momentum(0.9, _DELTA),
                             _DECAY)
    return [optimizer], optimizer.step


def _check(arms: Dict[str, Update]) -> None:
    wanted = arms['two SGD, foreach'].params
    for name, arm in arms.items():
        if name.startswith('released'):
            continue
        far = max(float((a - b).detach().abs().max())
                  for a, b in zip(arm.params, wanted))
        if not far <= _TOLERANCE:
            raise RuntimeError(
                f'{name} ends {far:.2g} from what two SGDs give; times of '
                'different updates cannot be compared.')
