"""Trains one run of the benchmark, in the process that calls it."""
import json
import os
import time
from pathlib import Path
from typing import Any, Mapping

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

# Imported once by the parent, so that no run has to.
import mmdeepkd.engine  # noqa: F401
import mmdeepkd.losses  # noqa: F401

from .runs import Kind

CHECKPOINT = 'teacher.pth'


def train(cfg: Config, kind: Kind, test: bool, save: bool,
          folder: Path) -> None:
    """Train, validate, and write ``result.json`` into the folder.

    Args:
        cfg: The config, complete.
        kind: What is measured.
        test: Whether to measure on the test split too.
        save: Whether to keep the weights, as ``teacher.pth``.
        folder: For the result, MMEngine's log and curves.
    """
    start = time.time()
    torch.set_num_threads(1)
    cfg.work_dir = str(folder / 'mmengine')
    # The last weights are all that is wanted, and here they are at hand.
    cfg.default_hooks.checkpoint = None
    runner = (RUNNERS.build(cfg) if 'runner_type' in cfg else
              Runner.from_cfg(cfg))
    runner.train()
    val = {key: scalar.current() for key, scalar in
           runner.message_hub.log_scalars.items()}
    result = dict(
        val=score(val, f'val/{kind.metric}', kind),
        test=score(runner.test(), kind.metric, kind) if test else None)
    if save:
        torch.save(
            dict(state_dict=runner.model.state_dict()), folder / CHECKPOINT)
    result['seconds'] = time.time() - start
    # Written aside and moved in one step: a result is whole or absent.
    draft = folder / 'result.json.draft'
    draft.write_text(json.dumps(result))
    os.replace(draft, folder / 'result.json')


def score(measured: Mapping[str, Any], name: str, kind: Kind) -> float:
    """Return a metric in per cent.

    Args:
        measured: Every metric by its name.
        name: The one that is asked for.
        kind: The kind of the run.
    """
    # Where nothing at all is detected mmdet measures nothing.
    return kind.scale * float(measured.get(name, 0.0))
