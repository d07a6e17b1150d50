"""Trains one run of the benchmark, in the process that calls it."""
import json
import os
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

# Imported once by the parent, so that no run has to.
import mmdeepkd.classification  # noqa: F401
import mmdeepkd.engine  # noqa: F401
import mmdeepkd.losses  # noqa: F401

CHECKPOINT = 'teacher.pth'
_METRIC = 'accuracy/top1'


def train(cfg: Config, test: bool, save: bool, folder: Path) -> None:
    """Train, validate, and write ``result.json`` into the folder.

    Args:
        cfg: The config, complete.
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
    val = runner.message_hub.get_scalar(f'val/{_METRIC}').current()
    result = dict(
        val=float(val), test=float(runner.test()[_METRIC]) if test else None)
    if save:
        torch.save(
            dict(state_dict=runner.model.state_dict()), folder / CHECKPOINT)
    result['seconds'] = time.time() - start
    # Written aside and moved in one step: a result is whole or absent.
    draft = folder / 'result.json.draft'
    draft.write_text(json.dumps(result))
    os.replace(draft, folder / 'result.json')
