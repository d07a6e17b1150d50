"""All slices around all checkpoints."""
import argparse
import functools
from typing import Any, Callable, Dict, List, Tuple

from mmengine.config import Config

from tools.analysis.landscape_steps.levels import shared_levels
from tools.analysis.landscape_steps.progress import Progress
from tools.analysis.landscape_steps.results import Results
from tools.analysis.landscape_steps.samples import load_batches
from tools.analysis.landscape_steps.slices import (
    grid,
    loss_slice,
    rise,
    task_loss,
)
from tools.analysis.landscape_steps.student import digest, student_with
from tools.common import quiet

Say = Callable[[str], None]


def measure(cfg: Config, args: argparse.Namespace, names: List[str],
            say: Say) -> Dict[str, Any]:
    """Measure what is not in OUT/landscape.json yet.

    Args:
        cfg: Config of the run.
        args: The command line.
        names: One for each checkpoint.
        say: Gets the lines that tell the progress.

    Returns:
        What the file then holds: ``settings``, ``steps``, ``checkpoints``
        (name, file and loss), ``slices`` (name, dims, seed and the losses,
        row by row), ``rise`` (of every name, per step > 0), ``levels`` (of
        the contours of all planes); without ``others``, slices of earlier
        calls.

    Raises:
        ValueError: An option, a config or a checkpoint cannot be used.
    """
    steps = grid(args.span, args.points)
    results = Results(args.out / 'landscape.json')
    with quiet():
        batches = load_batches(cfg, args.split, args.samples)
        # All files are read before hours are spent on the first one.
        students = [student_with(cfg, file, args.device)
                    for file in args.checkpoints]
    loss = functools.partial(task_loss, batches=batches)
    checkpoints = [
        dict(name=name, file=file, loss=_middle(loss(student), file))
        for name, file, student in zip(names, args.checkpoints, students)]
    plan = _plan(args, [digest(cfg, each, batches) for each in students])
    progress = Progress(sum(args.points**dims for key, _, dims, _ in plan
                            if not results.has(key)), say)
    for key, number, dims, seed in plan:
        progress.label = f'{names[number]}, {dims}-D, seed {seed}'
        results.slice(
            key, dict(name=names[number], dims=dims, seed=seed),
            functools.partial(loss_slice, students[number], loss, steps, dims,
                              seed, progress))
    settings = dict(
        config=str(args.config), split=args.split, span=args.span,
        samples=sum(len(batch['inputs']) for batch in batches),
        points=args.points)
    planes = [each for each in results.slices if each['dims'] == 2]
    data = dict(settings=settings, steps=steps, checkpoints=checkpoints,
                slices=results.slices, rise=_rises(steps, results.slices),
                levels=shared_levels(planes) if planes else [])
    results.write(data)
    return data


def _plan(args: argparse.Namespace,
          digests: List[str]) -> List[Tuple[str, int, int, int]]:
    """Return key, number of the checkpoint, dims and seed of every slice."""
    wanted = [(1, seed) for seed in dict.fromkeys(args.seeds)
              if 1 in args.dims]
    if 2 in args.dims:
        wanted.append((2, args.seeds[0]))
    return [(f'{each} {dims} {seed} {args.span} {args.points}', number, dims,
             seed) for number, each in enumerate(digests)
            for dims, seed in wanted]


def _middle(loss: float, file: str) -> float:
    if not abs(loss) < float('inf'):
        raise ValueError(
            f'the task loss of {file} is {loss}, so there is nothing to see '
            'around it: give a checkpoint of a run that did not diverge.')
    return loss


def _rises(steps: List[float],
           slices: List[Dict[str, Any]]) -> Dict[str, List[Any]]:
    lines: Dict[str, List[Any]] = {}
    for each in slices:
        if each['dims'] == 1:
            lines.setdefault(each['name'], []).append(each['loss'])
    return {name: rise(steps, found) for name, found in lines.items()}
