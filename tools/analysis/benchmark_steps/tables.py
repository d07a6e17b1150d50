"""The measurements as tables in Markdown."""
from typing import Any, Callable, Dict, List, Sequence

from ...bench_steps.layout import markdown
from .cells import mib, milliseconds, ratio, three_digits
from .diffkd_tables import diffkd_tables
from .gsnr import overheads
from .timing import ratios, spread

# What ratios are taken to, where a section has it.
_REFERENCES = {
    'three': 'three-backward',
    'KD': 'plain KD',
    'plain': 'student alone',
    'two SGD, foreach': 'two foreach SGD',
    'after the last backward': 'not overlapped',
}


def section(name: str, data: Dict[str, Any], picture: str) -> str:
    """Return the text of one section.

    Args:
        name: Its name on the command line.
        data: What was measured, as in the JSON file.
        picture: Path of the plot.
    """
    title, write = _SECTIONS[name]
    return f'## {title}\n\n{write(data, picture)}'


def _times(arms: Dict[str, Any], extra: Dict[str, Callable[[Any], str]],
           first: str = 'Step') -> str:
    """Return times, their ratios to the references, and more columns."""
    references = [name for name in _REFERENCES if name in arms]
    header = [first, 'ms', *(f'/ {_REFERENCES[r]}' for r in references),
              *extra]
    rows = [[
        arm['title'],
        milliseconds(spread(arm['seconds'])),
        *('' if name == r else ratio(ratios(arm['seconds'],
                                            arms[r]['seconds']))
          for r in references), *(cell(arm) for cell in extra.values())
    ] for name, arm in arms.items()]
    return markdown(header, rows)


def _steps(data: Dict[str, Any], picture: str) -> str:
    arms = data['arms']
    detailed = {name: arm for name, arm in arms.items() if 'parts' in arm}
    rounds = len(next(iter(arms.values()))['seconds'])
    return '\n\n'.join([
        f'{data["setting"]}. {rounds} rounds, in each every step once.',
        _times(arms, {'loss differs by': lambda arm:
                      f'{arm["loss_difference"]:.1g}'}),
        'Parts of a step, ms (medians; measured apart from the above, so that '
        'they need not add up):', _parts(detailed),
        'Memory, MiB. Peak: tensors at the peak of a step beyond what is held '
        'between steps.', _memory(detailed)
    ])


def _parts(arms: Dict[str, Any]) -> str:
    names = list(dict.fromkeys(
        part for arm in arms.values() for part in arm['parts']))
    return markdown(['Part', *(arm['title'] for arm in arms.values())], [[
        name, *(three_digits(1e3 * arm['parts'][name])
                if name in arm['parts'] else '' for arm in arms.values())
    ] for name in names])


def _memory(arms: Dict[str, Any]) -> str:
    base = arms['three']
    # One set of gradients less than the baseline at its peak.
    limit = base['peak_bytes'] - base['gradient_bytes']
    return markdown(
        ['Step', 'peak', 'optimizer state', 'together', 'one set of gradients',
         "peak minus (three-backward's minus one set)"],
        [[arm['title'], mib(arm['peak_bytes']), mib(arm['state_bytes']),
          mib(arm['peak_bytes'] + arm['state_bytes']),
          mib(arm['gradient_bytes']),
          mib(arm['peak_bytes'] - limit, '+')]
         for arm in arms.values()])


def _loss(data: Dict[str, Any], picture: str) -> str:
    rows = []
    for name, case in data['cases'].items():
        ours, other = case['ours'], case['released']
        rows.append([
            name, milliseconds(spread(ours['seconds'])),
            milliseconds(spread(other['seconds'])),
            ratio(ratios(ours['seconds'], other['seconds'])),
            mib(ours['peak_bytes']), mib(other['peak_bytes']),
            f'**{ours["peak_bytes"] / other["peak_bytes"]:.2f}**'
        ])
    return f'{data["setting"]}.\n\n' + markdown(
        ['(N, C), loss', 'ours, ms', 'released formula, ms', 'ratio',
         'ours, peak MiB', 'released, peak MiB', 'ratio'], rows)


def _optimizer(data: Dict[str, Any], picture: str) -> str:
    return f'{data["setting"]}.\n\n' + _times(
        data['arms'],
        {'state, MiB': lambda arm: mib(arm['state_bytes'])}, 'Update')


def _ddp(data: Dict[str, Any], picture: str) -> str:
    return f'{data["setting"]}.\n\n' + _times(
        data['arms'], {
            'all_reduce, bytes a step': lambda arm: str(arm['sent_bytes']),
            'of the momenta x parameters': lambda arm:
            f'{arm["sent_bytes"] / data["expected_bytes"]:.4f}'
        }, 'Reduction')


def _gsnr(data: Dict[str, Any], picture: str) -> str:
    rows = []
    for name, case in data['cases'].items():
        plain, window = case['plain'], case['window']
        share = spread(overheads(plain['seconds'], window['seconds'],
                                 data['samples'], data['interval']))
        rows.append([
            name, milliseconds(spread(plain['seconds'])),
            milliseconds(spread([s / data['samples']
                                 for s in window['seconds']])),
            ratio(ratios([s / data['samples'] for s in window['seconds']],
                         plain['seconds'])),
            f'**{100 * share.median:.2f}** ({100 * share.low:.2f}..'
            f'{100 * share.high:.2f})',
            f'{100 * data["limit"]:g}',
            mib(plain['peak_bytes']), mib(window['peak_bytes'])
        ])
    return f'{data["setting"]}.\n\n' + markdown(
        ['Pair', 'a step, ms', 'a measured one, ms', 'ratio',
         f'a window every {data["interval"]} steps costs, %', 'limit, %',
         'peak of a step, MiB', 'of a measured one, MiB'], rows)


def _growth(data: Dict[str, Any], picture: str) -> str:
    texts = [f'![How the cost grows]({picture})',
             'Exponent b of the fit ms = a n^b; medians in ms.']
    for facts in data['series'].values():
        arms = facts['arms']
        sizes = list(next(iter(arms.values()))['seconds'])
        texts += [
            f'By {facts["label"]}: {facts["what"]}.',
            markdown([facts['label'], *map(str, sizes), 'exponent'], [[
                name,
                *(three_digits(1e3 * spread(arm['seconds'][size]).median)
                  for size in sizes), f'{arm["exponent"]:.2f}'
            ] for name, arm in arms.items()])
        ]
    return '\n\n'.join(texts)


_SECTIONS = {
    'classification': ('Classification', _steps),
    'detection': ('Detection', _steps),
    'loss': ('The loss alone', _loss),
    'optimizer': ('The optimizer alone', _optimizer),
    'ddp': ('Two processes', _ddp),
    'gsnr': ('Measuring the gradient streams', _gsnr),
    'diffkd': ('DiffKD', lambda data, picture: diffkd_tables(data)),
    'growth': ('How the cost grows', _growth),
}


def head(facts: Dict[str, str]) -> str:
    """Return the list of how the numbers came about."""
    return '\n'.join(f'- {name}: {value}' for name, value in facts.items())


def page(texts: Sequence[str]) -> str:
    """Join the parts of a page."""
    parts: List[str] = [text.strip() for text in texts]
    return '\n\n'.join(parts) + '\n'
