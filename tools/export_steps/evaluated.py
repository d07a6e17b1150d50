"""The student as its run would be evaluated, to compare the export with."""
import copy
import re
from typing import Any, Dict

from mmengine.config import Config
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import load_checkpoint
from torch import nn

from mmdeepkd.distillers import student_config


def build_model(cfg: Config) -> nn.Module:
    """Build a config's model on the CPU, with random weights.

    Args:
        cfg: Config of a model alone.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return MODELS.build(copy.deepcopy(cfg.model)).eval()


def evaluated_student(cfg: Config, checkpoint: str, prefix: str,
                      raw: bool) -> nn.Module:
    """Return what tools/test.py would evaluate.

    It shares nothing with the export but MMEngine: the model is that of the
    run's config, with its preprocessor, and MMEngine loads it.

    Args:
        cfg: Config of the run.
        checkpoint: Its checkpoint.
        prefix: Before the student's names in the file, where a module that
            wraps it was saved.
        raw: Of a run with EMAHook return the weights that a resumed run
            would go on training.
    """
    run = copy.deepcopy(cfg)
    if 'student' in run.model:
        run.model = student_config(run.model)
    if run.get('data_preprocessor') is not None:
        # As the Runner does.
        run.model.setdefault('data_preprocessor', run.data_preprocessor)
    model = build_model(run)
    saved: Dict[str, Any] = load_checkpoint(
        model, checkpoint, 'cpu', logger='silent',
        revise_keys=[(f'^{re.escape(prefix)}', '')])
    if raw:
        # When it saves, the hook swaps the average and the trained weights.
        trained = ExponentialMovingAverage(model)
        trained.load_state_dict(saved['ema_state_dict'], strict=False)
        model = trained.module
    return model.eval()
