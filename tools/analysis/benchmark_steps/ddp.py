"""Two processes that talk through gloo: overlapped reduction, or after."""
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Dict, List

import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from torch.multiprocessing import spawn
from torch.utils._python_dispatch import TorchDispatchMode

from .classification import SMOKE_CONFIG, image_batch, make_pair, ours
from .comparison import Plan
from .nets import be_quiet
from .ours import Ours
from .timing import interleaved

# Few operations for its many parameters: what is sent counts.
CONFIG = 'configs/cifar100/deepkd_resnet32x4_vgg8.py'
RANKS = 2
_TOLERANCE = 1e-4


def run(plan: Plan) -> Dict[str, Any]:
    """Measure steps of two processes of one thread each, on the CPU.

    Args:
        plan: How much is measured.

    Returns:
        The setting and ``{arm: title, seconds by round, sent_bytes}``.
    """
    with tempfile.TemporaryDirectory() as folder:
        # What the processes print has no order.
        spawn(_work, (folder, plan.rounds, plan.smoke), RANKS)
        found: Dict[str, Any] = json.loads(
            (Path(folder) / 'found.json').read_text())
    for name, arm in found['arms'].items():
        plan.say(f'  {name}: {[round(1e3 * s) for s in arm["seconds"]]} ms')
    return found


def _work(rank: int, folder: str, rounds: int, smoke: bool) -> None:
    torch.set_num_threads(1)
    be_quiet()
    # Each writes a teacher of its own.
    own = Path(folder) / str(rank)
    own.mkdir()
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/meeting', rank=rank,
        world_size=RANKS)
    found = _measure(rank, own, rounds, smoke)
    if rank == 0:
        draft = Path(folder) / 'found.draft'
        draft.write_text(json.dumps(found))
        os.replace(draft, Path(folder) / 'found.json')
    dist.barrier()
    dist.destroy_process_group()


def _measure(rank: int, folder: Path, rounds: int,
             smoke: bool) -> Dict[str, Any]:
    size = 2 if smoke else 16
    config = SMOKE_CONFIG if smoke else CONFIG
    pair = make_pair(config, 'cpu', folder)
    batch = image_batch(RANKS * size)
    part = {key: value[rank * size:(rank + 1) * size]
            for key, value in batch.items()}
    arms = {'overlapped': Distributed(ours(pair, part, {}), True),
            'after the last backward': Distributed(ours(pair, part, {}),
                                                   False)}
    sent = {name: _sent_bytes(arm) for name, arm in arms.items()}
    seconds = interleaved(arms, rounds, 'cpu', lambda line: None, warm_up=1)
    _check(list(arms.values()))
    step = arms['overlapped'].step
    momenta = len(set(step.optimizer.leaders()[name] for name in
                      ('task', 'target', 'non_target')))
    numbers = sum(p.numel() for p in step.params)
    return dict(
        setting=f'{config}, {RANKS} processes of one thread, {size} images '
        f'each; {momenta} distinct momenta x {numbers} parameters x 4 bytes '
        f'= {momenta * numbers * 4}',
        expected_bytes=momenta * numbers * 4,
        arms={name: dict(title=name, seconds=seconds[name],
                         sent_bytes=sent[name]) for name in arms})


class Distributed:
    """Our step under DDP.

    Args:
        step: Of one process.
        overlap: Whether ``update_params`` does it all, or the wrapper's
            parts are called by hand, which reduces after the last backward.
    """

    def __init__(self, step: Ours, overlap: bool) -> None:
        self.step = step
        self.overlap = overlap
        self.model = MMDistributedDataParallel(
            step.distiller, find_unused_parameters=False)

    def __call__(self) -> None:
        """Train for one step."""
        wrapper = self.step.wrapper
        if self.overlap:
            self.model.train_step(self.step.batch(), wrapper)
            return
        module = self.model.module
        data = module.data_preprocessor(self.step.batch(), training=True)
        with wrapper.optim_context(self.model):
            losses = self.model(**data, mode='loss')
        total = module.parse_losses(losses)[0]
        wrapper.backward(wrapper.scale_loss(total))
        wrapper.step()
        wrapper.zero_grad()


class _Sent(TorchDispatchMode):
    """Counts the bytes that are given to all_reduce."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (),
                           kwargs: Any = None) -> Any:
        if 'allreduce' in func.__name__:
            self.total += sum(t.numel() * t.element_size() for t in args[0])
        return func(*args, **(kwargs or {}))


def _sent_bytes(arm: Distributed) -> int:
    # The first step may agree on more than every later one.
    arm()
    with _Sent() as sent:
        arm()
    return sent.total


def _check(arms: List[Distributed]) -> None:
    for a, b in zip(*(arm.step.params for arm in arms)):
        if not float((a - b).detach().abs().max()) <= _TOLERANCE:
            raise RuntimeError(
                'overlapped and other reduction end at different parameters; '
                'their times cannot be compared.')
