"""One training of the benchmark, and what identifies it."""
import ast
import copy
import functools
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict, Iterable, NamedTuple, Optional, Tuple

from mmengine.config import Config

from .arms import Options

ROOT = Path(__file__).resolve().parents[2]

# What every run goes through.
_ROOMS = ('checkpoints', 'datasets', 'distillers', 'engine', 'functional',
          'losses', 'registry.py')
_PACKAGES = ('torch', 'mmengine', 'numpy', 'scikit-learn')


class Kind(NamedTuple):
    """What the runs of a folder of configs have in common.

    Attributes:
        metric: What is measured, by its name in the log.
        scale: What makes per cent of it.
        rooms: The parts of the package that the runs go through.
        packages: The packages that they run on.
        modules: What they import; once by the parent, so that no run has to.
    """

    metric: str
    scale: float
    rooms: Tuple[str, ...]
    packages: Tuple[str, ...]
    modules: Tuple[str, ...]


KINDS = {
    'digits100': Kind(
        'accuracy/top1', 1., ('classification', *_ROOMS),
        ('mmpretrain', *_PACKAGES), ('mmdeepkd.classification', )),
    'digits': Kind(
        'coco/bbox_mAP', 100., ('detection', *_ROOMS),
        ('mmdet', 'mmcv', *_PACKAGES),
        ('mmdeepkd.detection', 'mmdet.datasets', 'mmdet.engine',
         'mmdet.evaluation', 'mmdet.models', 'mmdet.visualization')),
}


class Run(NamedTuple):
    """A shipped config, and what is changed in it.

    Attributes:
        config: Path relative to the repository.
        seed: Seed of the run.
        rate: Learning rate; None: the config's own.
        options: Further overrides.
        teacher: Identity of the teacher's run, of a distilling config.
        test: Whether to measure on the test split too.
    """

    config: str
    seed: int
    rate: Optional[float] = None
    options: Options = ()
    teacher: Optional[str] = None
    test: bool = False


class Result(NamedTuple):
    """What a run measured.

    Attributes:
        val: The metric of its kind on the validation split, in per cent.
        test: The same on the test split; None where it was not asked for.
        seconds: Wall time of the run.
    """

    val: float
    test: Optional[float]
    seconds: float


def kind(run: Run) -> Kind:
    """Return what kind of run it is, by the folder of its config."""
    return KINDS[Path(run.config).parent.name]


def overrides(run: Run) -> Dict[str, Any]:
    """Return what the run changes in its config, as ``--cfg-options``."""
    changed = dict(run.options)
    changed['randomness.seed'] = run.seed
    if run.rate is not None:
        changed['optim_wrapper.optimizer.lr'] = run.rate
    return changed


def resolve(run: Run) -> Config:
    """Return the whole config of a run, but for its folders."""
    cfg = copy.deepcopy(_read(run.config))
    cfg.merge_from_dict(overrides(run))
    return cfg


def describe_task(student: Run, teacher: Run) -> str:
    """Say in one sentence what is trained, and for how long."""
    small, large = resolve(student), resolve(teacher)
    sides = [
        f'ResNet-{cfg.model.backbone.depth} of widths '
        f'{list(cfg.model.backbone.channels)[1:]}, '
        f'{cfg.train_cfg.max_epochs} epochs, weight decay '
        f'{cfg.optim_wrapper.optimizer.weight_decay:g}'
        for cfg in (small, large)
    ]
    sgd = large.optim_wrapper.optimizer
    return (f'Student: {sides[0]}. Teacher: {sides[1]}, lr {sgd.lr:g}. Both: '
            f'batch {small.train_dataloader.batch_size}, cosine, SGD of '
            f'momentum {sgd.momentum:g} (methods with a momentum per stream: '
            'around it).')


def identify(run: Run) -> str:
    """Return a hash of all that decides what the run measures.

    The resolved config, the teacher, the versions of the packages and the
    code of the rooms that are run, without its comments and docstrings.
    """
    facts = dict(
        config=resolve(run).to_dict(),
        teacher=run.teacher,
        test=run.test,
        packages={name: version(name) for name in kind(run).packages},
        code=_code(kind(run).rooms))
    # Not where the repository lies.
    text = json.dumps(facts, sort_keys=True).replace(str(ROOT), '')
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_hash(files: Iterable[Path]) -> str:
    """Hash what Python files do, not how they are described.

    Args:
        files: The files, in an order of their own.

    Returns:
        A hash that comments, docstrings and layout do not change.
    """
    digest = hashlib.sha256()
    for file in files:
        tree = ast.parse(file.read_text(encoding='utf-8'))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef,
                                 ast.AsyncFunctionDef)):
                if ast.get_docstring(node) is not None:
                    del node.body[0]
        digest.update(file.name.encode() + ast.dump(tree).encode())
    return digest.hexdigest()


@functools.lru_cache(maxsize=None)
def _read(config: str) -> Config:
    return Config.fromfile(str(ROOT / config))


@functools.lru_cache(maxsize=None)
def _code(rooms: Tuple[str, ...]) -> str:
    package = ROOT / 'mmdeepkd'
    files = [Path(__file__).with_name('training.py')]
    for room in rooms:
        path = package / room
        files += [path] if path.is_file() else sorted(path.rglob('*.py'))
    return code_hash(files)
