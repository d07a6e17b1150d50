"""The section of what feature distillation has logged, run by run."""
import re
from typing import Dict, List, Sequence

from .charts import Picture, chart
from .colors import PAIRS, cycled
from .curves import Curve, curve
from .layout import ITERATION, Colors, Section, lines_of, section
from .runs import Run

_LOSS = re.compile(r'feature\.loss_(.+)')
# Of a loss, and of a place where it has several.
_GAMMA = re.compile(r'(\w+)_gamma(_\w+)?')


def feature_curves(runs: Sequence[Run], colors: Colors) -> Section:
    """Show the losses that feature distillation is made of, and gamma."""
    figures: List[Picture] = []
    for number, run in enumerate(runs, 1):
        figures += _of_run(number, run)
    return section('feature_curves', 'Feature distillation', figures,
                   'No run distils features.')


def loss_parts(run: Run) -> Dict[str, Curve]:
    """Return the losses of the stream ``feature``, each by itself."""
    return _matching(run, _LOSS)


def gammas(run: Run) -> Dict[str, Curve]:
    """Return how much of the student's feature the noise adapter keeps."""
    return {name.replace('_gamma', ''): found
            for name, found in _matching(run, _GAMMA).items()}


def _matching(run: Run, pattern: 're.Pattern[str]') -> Dict[str, Curve]:
    names = dict.fromkeys(
        key for record in run.records.train for key in record)
    found = {}
    for name in names:
        match = pattern.fullmatch(name)
        each = curve(run.records.train, name) if match else None
        if match and each is not None:
            found[match[1] if pattern is _LOSS else name] = each
    return found


def _of_run(number: int, run: Run) -> List[Picture]:
    figures = []
    losses, shares = loss_parts(run), gammas(run)
    if losses:
        figures.append(chart(
            f'feature_losses_{number}',
            f'{run.name}: what the loss of the stream feature is made of: '
            'matching the teacher, by place where there are several; '
            "training the diffusion model; the auto-encoder's "
            'reconstruction. Weights are in it.',
            lines_of(losses, cycled(list(losses), PAIRS)), ITERATION, 'loss'))
    if shares:
        figures.append(chart(
            f'gamma_{number}',
            f"{run.name}: gamma, the student's share of what is denoised; "
            'the rest is noise. Near 1 the diffusion model is given the '
            "student's feature as it is: the noise adapter adapts nothing.",
            lines_of(shares, cycled(list(shares), PAIRS)), ITERATION,
            'gamma', (-0.02, 1.02)))
    return figures
