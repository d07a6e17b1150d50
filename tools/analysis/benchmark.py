"""What a DeepKD step costs, beside plain KD and the released way to do it.

    python tools/analysis/benchmark.py all

Random weights and random data, so nothing is needed beside the packages.
Everything that is compared runs in one process, in turn, round by round (two
processes for ``ddp``). Each section writes NAME.json and NAME.md into --out;
speed.md joins the sections that are there, growth.png shows how the cost
grows. ``--smoke`` only shows that everything runs.
"""
import argparse
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, Dict

ROOT = Path(__file__).resolve().parents[2]
# Also where the package is not installed, and in spawned processes.
sys.path.insert(0, str(ROOT))
warnings.filterwarnings('ignore', 'pkg_resources is deprecated')

import torch  # noqa: E402

from tools.analysis.benchmark_steps import (  # noqa: E402
    classification,
    ddp,
    detection,
    diffkd,
    growth,
    gsnr,
    loss,
    optimizer,
)
from tools.analysis.benchmark_steps.comparison import Plan  # noqa: E402
from tools.analysis.benchmark_steps.machine import describe  # noqa: E402
from tools.analysis.benchmark_steps.nets import be_quiet  # noqa: E402
from tools.analysis.benchmark_steps.plot import draw  # noqa: E402
from tools.analysis.benchmark_steps.tables import (  # noqa: E402
    head,
    page,
    section,
)

SECTIONS = {
    'classification': classification.run,
    'detection': detection.run,
    'loss': lambda plan, folder: loss.run(plan),
    'optimizer': lambda plan, folder: optimizer.run(plan),
    'ddp': lambda plan, folder: ddp.run(plan),
    'gsnr': gsnr.run,
    'diffkd': diffkd.run,
    'growth': growth.run,
}
PICTURE = 'growth.png'


def main() -> None:
    """Run the benchmark."""
    args = _arguments()
    if args.device == 'cuda' and not torch.cuda.is_available():
        sys.exit('benchmark: --device cuda needs a GPU that torch sees; '
                 'leave it out to measure on the CPU.')
    be_quiet()
    torch.set_num_threads(args.threads)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    plan = Plan(args.device, 2 if args.smoke else args.rounds, args.smoke,
                say)
    names = list(SECTIONS) if args.section == 'all' else [args.section]
    for number, name in enumerate(names, 1):
        say(f'[{number}/{len(names)}] {name}')
        write(name, measured(name, plan), out)
    join(out)
    say(f'benchmark: the tables are in {out / "speed.md"}')


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('section', choices=[*SECTIONS, 'all'])
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--rounds', type=int, default=9,
                        help='how often everything is timed (9)')
    parser.add_argument('--threads', type=int, default=2,
                        help='threads of torch on the CPU (2)')
    parser.add_argument('--out', default='work_dirs/benchmark',
                        help='folder of the results (work_dirs/benchmark)')
    parser.add_argument('--smoke', action='store_true',
                        help='smallest sizes, two rounds: only shows that it '
                        'runs')
    return parser.parse_args()


def measured(name: str, plan: Plan) -> Dict[str, Any]:
    """Measure a section; return its data and how they came about."""
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        data = SECTIONS[name](plan, Path(folder))
    facts = describe(plan.device, plan.rounds)
    facts['Section'] = (f'`python tools/analysis/benchmark.py '
                        f'{" ".join([name, *_options()])}`, '
                        f'{(time.time() - start) / 60:.1f} minutes, '
                        f'{time.strftime("%Y-%m-%d")}')
    return dict(data=data, facts=facts)


def _options() -> list:
    # Where the results go says nothing about them.
    parsed = argparse.ArgumentParser(add_help=False)
    parsed.add_argument('--out')
    return parsed.parse_known_args(sys.argv[2:])[1]


def write(name: str, result: Dict[str, Any], out: Path) -> None:
    """Write a section's numbers, and its plot if it has one."""
    (out / f'{name}.json').write_text(json.dumps(result, indent=1))
    if name == 'growth':
        draw(result['data']['series'], out / PICTURE)


def join(out: Path) -> None:
    """Write the tables of every section that has been measured."""
    texts = []
    for name in SECTIONS:
        file = out / f'{name}.json'
        if file.is_file():
            result = json.loads(file.read_text())
            text = section(name, result['data'], PICTURE)
            texts += [text, head(result['facts'])]
            (out / f'{name}.md').write_text(page(texts[-2:]))
    (out / 'speed.md').write_text(page(texts))


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


if __name__ == '__main__':
    main()
