"""What the benchmark compares, and the plan by which it does."""
from typing import Any, Dict, NamedTuple, Sequence, Tuple, Union

Options = Tuple[Tuple[str, Any], ...]

PAIR = 'resnet8w32_resnet8w4'
TEACHER = 'configs/digits100/teacher_resnet8w32.py'
STUDENT = 'configs/digits100/baseline_resnet8w4.py'


class Arm(NamedTuple):
    """One method: a shipped config and what is changed in it.

    Attributes:
        name: Short name, unique.
        title: Name in the tables.
        config: Path relative to the repository.
        options: (key, value) overrides, as ``--cfg-options``.
        watched: Further ones, of the final runs: what watches them and
            changes no result.
        rate_of: Name of the arm whose learning rate it takes, so that the
            two differ in their overrides alone; empty: it is tuned.
    """

    name: str
    title: str
    config: str
    options: Options = ()
    watched: Options = ()
    rate_of: str = ''


class Ablation(NamedTuple):
    """One setting of one method, varied at the method's chosen rate.

    Attributes:
        title: What varies.
        settings: {label: overrides}.
    """

    title: str
    settings: Dict[str, Options]


class Plan(NamedTuple):
    """Everything that is trained.

    Attributes:
        arms: The methods.
        rates: Learning rates every method is tried at, ascending.
        tuning_seeds: Seeds of these tries.
        seeds: Seeds of the final runs, others than the tuning seeds.
        ablated: Name of the arm that is ablated, if any.
        ablations: Its ablations.
        ablation_seeds: Seeds of their runs.
        options: Overrides of every config, the teacher's too.
        max_extensions: How often the grid of one method may be extended.
        teacher: Config of the teacher of all methods.
        all_rates: Whether the final runs are trained at every rate of the
            grid: where some diverge, the chosen one says too little.
    """

    arms: Sequence[Arm]
    rates: Sequence[float]
    tuning_seeds: Sequence[int]
    seeds: Sequence[int]
    ablated: str = ''
    ablations: Sequence[Ablation] = ()
    ablation_seeds: Sequence[int] = ()
    options: Options = ()
    max_extensions: int = 3
    teacher: str = TEACHER
    all_rates: bool = False


def _config(method: str) -> str:
    return f'configs/digits100/{method}_{PAIR}.py'


def topk(static_k: Union[int, str, None] = None,
         phases: Union[Tuple[float, float], str, None] = None) -> Options:
    """Return the overrides of the top-K hook; what is None stays."""
    options = {'static_k': static_k, 'phases': phases}
    return tuple((f'default_hooks.topk.{key}', value)
                 for key, value in options.items() if value is not None)


# K of the middle phase all the way. 99 keeps every non-target class: no mask.
ALWAYS = (0.0, 1.0)
_TOPK = {
    'no top-K': ('none', topk(99, ALWAYS)),
    'static top-K': ('static', topk(40, ALWAYS)),
    # As the configs are.
    'dynamic top-K': ('dynamic', ()),
}


def _deepkd(method: str, base: str) -> Sequence[Arm]:
    return [
        Arm(f'{method}_{short}', f'DeepKD over {base}, {label}',
            _config(method), options)
        for label, (short, options) in _TOPK.items()
    ]


ARMS = (
    Arm('alone', 'no teacher', STUDENT),
    Arm('kd', 'KD', _config('kd')),
    Arm('lskd', 'LSKD', _config('lskd')),
    Arm('dkd', 'DKD', _config('dkd')),
    Arm('gdkd', 'GDKD', _config('gdkd')),
    Arm('dot', 'DOT over KD', _config('dot')),
    *_deepkd('deepkd', 'KD'),
    *_deepkd('deepkd_dkd', 'DKD'),
    Arm('mlkd', 'MLKD', _config('mlkd')),
    Arm('crld', 'CRLD', _config('crld')),
)

ABLATIONS = (
    Ablation('delta', {
        f'{delta:g}': (('optim_wrapper.delta', delta), )
        for delta in (0.0, 0.025, 0.05, 0.075)
    }),
    Ablation('static K', {str(k): topk(k, ALWAYS) for k in (5, 20, 40, 99)}),
    Ablation('phases of the dynamic K', {
        f'{begin:g}, {end:g}': topk(phases=(begin, end))
        for begin, end in ((0.15, 0.5), (0.3, 0.7), (0.5, 0.85))
    }),
)

FULL = Plan(
    arms=ARMS,
    rates=(0.2, 0.4, 0.8, 1.6),
    tuning_seeds=(100, 101),
    seeds=(0, 1, 2, 3, 4, 5, 6, 7),
    ablated='deepkd_dkd_dynamic',
    ablations=ABLATIONS,
    ablation_seeds=(0, 1, 2))

# Proves that everything runs; the numbers mean nothing.
SMOKE = FULL._replace(
    tuning_seeds=(100, ),
    seeds=(0, 1),
    ablation_seeds=(0, ),
    max_extensions=0,
    options=(('train_cfg.max_epochs', 1), ('train_cfg.val_interval', 1),
             ('train_dataloader.dataset.indices', 256),
             ('val_dataloader.dataset.indices', 500),
             ('test_dataloader.dataset.indices', 500)))
