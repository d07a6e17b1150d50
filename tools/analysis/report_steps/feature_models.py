"""The distillers of runs that compare features, with their adapters."""
import copy
from typing import Any

from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmdeepkd.checkpoints import compare_tensors, few
from mmdeepkd.engine.adapters import ADAPTERS
from mmdeepkd.registry import MODELS
from tools.export_steps.evaluated import build_model
from tools.export_steps.weights import pick_tensors

from .runs import Run


def distils_features(run: Run) -> bool:
    """Whether a loss of the run's config compares features."""
    losses = ((run.cfg or {}).get('model') or {}).get('losses') or []
    losses = [losses] if isinstance(losses, dict) else losses
    return any(getattr(_class_of(loss), 'needs_adapter', False)
               for loss in losses)


def load_distiller(cfg: Config, checkpoint: str) -> nn.Module:
    """Build the distiller of a run, with its adapters, in eval mode.

    Args:
        cfg: Config of the run.
        checkpoint: Its checkpoint.

    Raises:
        ValueError: A tensor is missing, unexpected or of another shape.
    """
    config = copy.deepcopy(cfg.model)
    # A matter of speed, and its compiler would take minutes.
    config.pop('teacher_speedup', None)
    if cfg.get('data_preprocessor') is not None:
        # As the Runner does.
        config.setdefault('data_preprocessor', cfg.data_preprocessor)
    loaded = CheckpointLoader.load_checkpoint(checkpoint, 'cpu')
    tensors = pick_tensors(loaded, checkpoint, raw=False)
    if not any(key.startswith(f'{ADAPTERS}.') for key in tensors):
        raise ValueError(
            f'{checkpoint} holds no {ADAPTERS}.*, the modules that compare '
            'features, as if it were an exported student: give the work '
            'directory of the training, with its own checkpoint.')
    model = build_model(Config(dict(
        model=config, default_scope=cfg.get('default_scope'))))
    report = compare_tensors('distiller', checkpoint, tensors,
                             model.state_dict())
    if report.missing or report.unexpected or report.mismatched:
        raise ValueError(
            f"{checkpoint} is not of the config's distillation: "
            f'{few(report.missing, "missing")}; '
            f'{few(report.unexpected, "unexpected")}; '
            f'{few(report.mismatched, "of another shape")}; give the work '
            'directory that holds both.')
    model.load_state_dict(tensors, strict=False)
    return model


def _class_of(loss: Any) -> Any:
    kind = loss.get('type')
    return MODELS.get(kind) if isinstance(kind, str) else kind
