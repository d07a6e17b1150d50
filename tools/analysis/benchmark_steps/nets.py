"""Distillers of shipped configs, with random weights."""
import copy
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdeepkd.distillers import resolve_model_config
from mmdeepkd.engine.adapters import ADAPTERS
from mmdeepkd.registry import MODELS

ROOT = Path(__file__).resolve().parents[3]
SEED = 0


class Pair:
    """Teacher and student of a config, built alike every time.

    Args:
        config: Path relative to the repository.
        scope: ``'mmpretrain'`` or ``'mmdet'``.
        device: Where distillers are put.
        folder: The teacher's checkpoint is written there.
        settle: Runs a network's convolutions once, so that its BatchNorm
            sees what it will see.
        classifier: Returns a network's last layer, whose random weights are
            made ten times as large: the logits then differ enough for the
            losses to be compared.
    """

    def __init__(self, config: str, scope: str, device: str, folder: Path,
                 settle: Callable[[nn.Module], Any],
                 classifier: Callable[[nn.Module], nn.Linear]) -> None:
        self.config = Config.fromfile(str(ROOT / config))
        self.scope = scope
        self.device = device
        self.settle = settle
        self.classifier = classifier
        self.checkpoint = folder / f'{scope}_teacher.pth'
        # Nothing is downloaded.
        teacher = resolve_model_config(self.config.model.teacher, 'teacher')
        student = resolve_model_config(self.config.model.student, 'student')
        for model in (teacher, student):
            model.backbone.init_cfg = None
        self.config.model.teacher = teacher
        self.config.model.student = student
        # Arms say themselves what makes them fast.
        for key in ('teacher_speedup', 'channels_last'):
            self.config.model.pop(key, None)
        if 'data_preprocessor' in self.config:
            # As MMEngine's runner passes it.
            self.config.model.data_preprocessor = self.config.data_preprocessor
        self._write(self._build(teacher))
        self._start: Optional[Dict[str, Tensor]] = None

    @property
    def optimizer(self) -> Dict[str, float]:
        """Weight decay and delta of the config, and a tiny learning rate.

        A step costs the same with any; with the config's, nets of random
        weights would drift, and other numbers of RoIs with them.
        """
        wrapper = self.config.optim_wrapper
        return dict(lr=1e-6, delta=wrapper.delta,
                    weight_decay=wrapper.optimizer.weight_decay)

    def distiller(self, **options: Any) -> nn.Module:
        """Build a distiller in training mode.

        Args:
            options: Arguments of the distiller beside the config's, keys of
                its models with dots as in ``--cfg-options``.
        """
        config = Config(dict(model=copy.deepcopy(self.config.model)))
        config.model.teacher_checkpoint = str(self.checkpoint)
        config.merge_from_dict({
            f'model.{key}': value for key, value in options.items()})
        model = self._build(config.model)
        # All arms start from the same student, whatever their options do to
        # the order in which random numbers are drawn; not all have adapters.
        own = model.state_dict()
        if self._start is None:
            self._start = copy.deepcopy({
                key: value for key, value in own.items()
                if not key.startswith(f'{ADAPTERS}.')})
        model.load_state_dict({**own, **self._start})
        # Not the warning of a run's checkpoints.
        model.plain_checkpoints = True
        return model.to(self.device).train()

    def _build(self, config: ConfigDict) -> nn.Module:
        torch.manual_seed(SEED)
        with DefaultScope.overwrite_default_scope(self.scope):
            model = MODELS.build(copy.deepcopy(config))
        model.init_weights()
        settle_norms(model, self.settle)
        self.classifier(model).weight.data.mul_(10)
        return model

    def _write(self, teacher: nn.Module) -> None:
        torch.save(dict(state_dict=teacher.state_dict(), meta={}),
                   self.checkpoint)


def be_quiet() -> None:
    """Let MMEngine log warnings only; it lists every initialised weight."""
    MMLogger.get_current_instance().setLevel('WARNING')


def settle_norms(model: nn.Module, run: Callable[[nn.Module], Any]) -> None:
    """Give every BatchNorm the statistics of one batch.

    Without, the activations of a deep net of random weights grow from block
    to block: its logits would be like nobody's.

    Args:
        model: Changed in place.
        run: Runs it.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    kept = [(norm.training, norm.momentum) for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    with torch.no_grad():
        run(model)
    for norm, (training, momentum) in zip(norms, kept):
        norm.train(training)
        norm.momentum = momentum


def agreement(losses: Dict[str, Dict[str, float]], baseline: str,
              tolerances: Dict[str, float]) -> Dict[str, float]:
    """Return how far arms are from a baseline in the first step's losses.

    Args:
        losses: ``{arm: {stream: loss}}``.
        baseline: Name of the arm that the others are compared with, in the
            streams that both have.
        tolerances: Of each arm.

    Returns:
        The largest relative difference of each arm.

    Raises:
        RuntimeError: It is above an arm's tolerance.
    """
    wanted = losses[baseline]
    found = {}
    for name, own in losses.items():
        shared = own.keys() & wanted.keys()
        found[name] = max(
            abs(own[stream] - wanted[stream]) / max(abs(wanted[stream]), 1e-6)
            for stream in shared)
        # Not `>`: NaN must be too far, too.
        if not found[name] <= tolerances[name]:
            raise RuntimeError(
                f'{name} computes other losses than {baseline}: {own}, not '
                f'{wanted}; times of different things cannot be compared.')
    return found
