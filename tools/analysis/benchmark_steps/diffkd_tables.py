"""The tables of what DiffKD costs."""
from typing import Any, Dict

from ...bench_steps.layout import markdown
from .cells import mib, milliseconds, ratio, three_digits
from .timing import ratios, spread

# What each step is compared with.
_WITHOUT = {'KD + DiffKD': 'KD', 'shared': 'DeepKD', 'own': 'DeepKD'}


def diffkd_tables(data: Dict[str, Any]) -> str:
    """Return what was measured, a pair of models after the other.

    Args:
        data: As in the JSON file.
    """
    return '\n\n'.join(_pair(name, facts) for name, facts in data.items())


def _pair(name: str, facts: Dict[str, Any]) -> str:
    arms = facts['arms']
    rounds = len(next(iter(arms.values()))['seconds'])
    return '\n\n'.join([
        f'{name.capitalize()}: {facts["setting"]}. {rounds} rounds, in each '
        'every step once. Extra: against the same step without DiffKD; '
        'memory in MiB, peak: tensors at the peak of a step beyond what is '
        'held between steps.',
        _steps(arms),
        'Parts of a step, ms (medians; measured apart from the above, so that '
        'they need not add up):',
        _parts(arms),
        "DiffKD's modules alone, on the features of one step; the backward "
        "reaches their parameters and the student's features:",
        _alone(facts['alone'])
    ])


def _steps(arms: Dict[str, Any]) -> str:
    rows = []
    for name, arm in arms.items():
        base = arms.get(_WITHOUT.get(name, ''))
        added = [''] * 4 if base is None else [
            ratio(ratios(arm['seconds'], base['seconds'])),
            milliseconds(spread([
                own - other for own, other in zip(arm['seconds'],
                                                  base['seconds'])])),
            mib(arm['peak_bytes'] - base['peak_bytes'], '+'),
            mib(arm['state_bytes'] - base['state_bytes'], '+')]
        rows.append([arm['title'], milliseconds(spread(arm['seconds'])),
                     *added[:2], mib(arm['peak_bytes']), added[2],
                     mib(arm['state_bytes']), added[3]])
    return markdown(['Step', 'ms', '/ without', 'extra ms', 'peak', 'extra',
                     'optimizer state', 'extra'], rows)


def _parts(arms: Dict[str, Any]) -> str:
    names = list(dict.fromkeys(
        part for arm in arms.values() for part in arm['parts']))
    # The forward, as it runs; backwards; the optimizer.
    names.sort(key=lambda name: ('optimizer' in name, 'backward' in name))
    return markdown(['Part', *(arm['title'] for arm in arms.values())], [[
        name, *(three_digits(1e3 * arm['parts'][name])
                if name in arm['parts'] else '' for arm in arms.values())
    ] for name in names])


def _alone(variants: Dict[str, Any]) -> str:
    return markdown(
        ['Modules', 'parameters', 'forward, ms', 'backward, ms', 'peak, MiB'],
        [[name, f'{facts["parameters"]:,}',
          *(milliseconds(spread(facts['seconds'][part]))
            for part in ('forward', 'backward')), mib(facts['peak_bytes'])]
         for name, facts in variants.items()])
