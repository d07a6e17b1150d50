"""What DiffKD adds to a step: whole steps, and its modules alone."""
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Sequence

from . import classification, detection
from .adapters import Alone, adapters_alone
from .comparison import Arm, Plan, compare
from .detection_losses import seeded
from .nets import Pair
from .ours import Ours
from .steps import floats
from .variants import EXACT, speedups

KD = dict(type='mmdeepkd.KDLoss', temperature=4.0)
DIFFKD = dict(type='mmdeepkd.DiffKDLoss')
#: How the diffusion model may be built and trained.
VARIANTS: Dict[str, Dict[str, Any]] = {
    "channels='half'": {},
    'channels=None': dict(channels=None),
    "channels='half', semantics='released'": dict(semantics='released'),
}
# Rounds that six minutes have room for, of whole steps and of their parts.
_ROUNDS = dict(classification=7, detection=4)
_PART_ROUNDS = 2


class Distilled(Ours):
    """Our step, with losses of any kind."""

    def losses(self) -> Dict[str, float]:
        """Return the losses of the streams."""
        return floats(self.forward())


def run(plan: Plan, folder: Path) -> Dict[str, Any]:
    """Compare steps with and without DiffKD.

    Args:
        plan: How much is measured.
        folder: For the teachers' checkpoints.

    Returns:
        ``{pair: facts}``: setting, arms as of :func:`compare`, alone as of
        :func:`adapters_alone`.
    """
    return {name: measure(plan._replace(
        rounds=min(plan.rounds, _ROUNDS[name])), folder)
        for name, measure in (('classification', _classification),
                              ('detection', _detection))}


def _classification(plan: Plan, folder: Path) -> Dict[str, Any]:
    size = 4 if plan.smoke else 64
    config = (classification.SMOKE_CONFIG if plan.smoke
              else classification.CONFIG)
    pair = classification.make_pair(config, plan.device, folder)
    batch = classification.image_batch(size)
    make = partial(_step, pair, lambda: batch, classification.TOPK)
    alike = dict(task=0.0, distill=0.0, feature=0.0)
    arms = {
        'KD': Arm('KD, one momentum', make([KD], alike), EXACT),
        'KD + DiffKD': Arm('KD + DiffKD, one momentum',
                           make([KD, DIFFKD], alike), EXACT),
        **_deepkd_arms(pair, make),
    }
    return dict(
        setting=f'{config}, batch {size} of 32 x 32 images, DiffKD on the '
        'last map', arms=compare(
            arms, 'DeepKD', plan, 1, _PART_ROUNDS),
        alone=_alone(pair, lambda: batch, plan))


def _detection(plan: Plan, folder: Path) -> Dict[str, Any]:
    scene = detection.SMOKE if plan.smoke else detection.FULL
    pair = detection.make_pair(scene, plan.device, folder)
    batch = detection.detection_batch(scene)
    make = partial(_step, pair, lambda: seeded(batch),
                   detection.TOPK[scene.classes])
    return dict(
        setting=f'{scene.config}, 2 x 3 x {scene.size} x {scene.size}, '
        'DiffKD on the levels of the FPN',
        arms=compare(_deepkd_arms(pair, make), 'DeepKD', plan, 1,
                     _PART_ROUNDS),
        alone=_alone(pair, lambda: seeded(batch), plan))


def _deepkd_arms(pair: Pair, make: Callable[..., Ours]) -> Dict[str, Arm]:
    deepkd, delta = pair.config.model.losses, pair.optimizer['delta']
    offsets = dict(task=delta, target=-delta, non_target=delta)
    both = [deepkd, DIFFKD]
    return {
        'DeepKD': Arm('DeepKD, two momenta', make([deepkd], offsets), EXACT),
        'shared': Arm("DeepKD + DiffKD with the task's momentum",
                      make(both, dict(offsets, feature=delta)), EXACT),
        'own': Arm('DeepKD + DiffKD with a momentum of its own',
                   make(both, dict(offsets, feature=delta / 2)), EXACT),
    }


def _step(pair: Pair, batch: Callable[[], Any], topk: int,
          losses: Sequence[Any], offsets: Dict[str, float]) -> Distilled:
    distiller = pair.distiller(**speedups(), losses=list(losses))
    for loss in distiller.losses:
        if hasattr(loss, 'topk'):
            loss.topk = topk
    chosen = pair.optimizer
    del chosen['delta']
    return Distilled(distiller, batch, offsets=offsets, **chosen)


def _alone(pair: Pair, batch: Callable[[], Any],
           plan: Plan) -> Dict[str, Any]:
    # Both students are in channels_last, whose maps are, too.
    return adapters_alone({
        name: Alone(pair.distiller(**speedups(), losses=[
            dict(DIFFKD, **settings)]), batch())
        for name, settings in VARIANTS.items()}, plan)
