"""What is watched and compared, and the plan by which it is."""
from typing import NamedTuple

from mmdeepkd.engine.topk_settings import SHARE

from ..bench_steps.arms import ALWAYS, SMOKE, STUDENT, Arm, Options, Plan, topk

_DEEPKD = 'configs/digits100/deepkd_resnet8w32_resnet8w4.py'
#: Non-target classes of Digits-100. K of all of them is no mask.
OTHERS = 99
_NO_TOPK = topk(OTHERS, ALWAYS)
# As the config has it.
DELTA = 0.075
GRID = (10, 40, 80, OTHERS)
# The one that the config is shipped with.
SHIPPED_K = 40
# Of the mass, beside the hook's default.
LOW_SHARE = 0.8
_SHARE_KEY = 'default_hooks.topk.share'


class Watch(NamedTuple):
    """How often gradients are measured.

    Attributes:
        interval: Iterations from the begin of a window to the next.
        samples: Updates in a window.
    """

    interval: int
    samples: int

    def options(self, hook: str = 'GSNRHook') -> Options:
        """Return the overrides that add the hook to a config."""
        return (('default_hooks.gsnr.type', f'mmdeepkd.{hook}'),
                ('default_hooks.gsnr.interval', self.interval),
                ('default_hooks.gsnr.samples', self.samples))


class GSNRPlan(NamedTuple):
    """Everything that is trained.

    Attributes:
        momenta: The arms without top-K: the plain student, then DeepKD by
            where its momenta come from.
        topk: The arms with a dynamic top-K, by its static K.
        classification: The plan of the runs on Digits-100, of both.
        detection: Overrides of the student on the digits scenes.
        short: Overrides of both detectors.
    """

    momenta: tuple
    topk: tuple
    classification: Plan
    detection: Options
    short: Options = ()


def _momenta(watch: Watch) -> tuple:
    driven = watch.options('GSNRMomentumHook')
    return (
        Arm('alone', 'no teacher', STUDENT),
        Arm('fixed', f'DeepKD, delta {DELTA}', _DEEPKD, _NO_TOPK,
            watch.options()),
        Arm('equal', 'DeepKD, equal momenta', _DEEPKD,
            (*_NO_TOPK, ('optim_wrapper.delta', 0.0)), watch.options()),
        Arm('driven', 'DeepKD, GSNR-driven momenta', _DEEPKD, (
            *_NO_TOPK, *driven, ('default_hooks.gsnr.delta', DELTA),
            ('optim_wrapper.merge', False))),
    )


def _topk(watch: Watch) -> tuple:
    fixed = [
        Arm(f'k{k}', f'static_k={k}', _DEEPKD, topk(k),
            watch.options() if k == SHIPPED_K else ()) for k in GRID
    ]
    return (
        *fixed,
        *_auto('auto', "static_k='auto'", topk('auto')),
        *_auto('auto_phases', "static_k='auto', phases='auto'",
               topk('auto', 'auto')),
    )


def _auto(name: str, title: str, options: Options) -> tuple:
    """Return an arm at the default share, and one at the low share."""
    return (
        Arm(name, title, _DEEPKD, options),
        Arm(f'{name}_low', f'{title}, share={LOW_SHARE}', _DEEPKD,
            (*options, (_SHARE_KEY, LOW_SHARE))),
    )


def share_of(arm: Arm) -> float:
    """Return the share of the mass that an automated K is to cover."""
    return dict(arm.options).get(_SHARE_KEY, SHARE)


def _plan(watch: Watch, classification: Plan,
          short: Options = ()) -> GSNRPlan:
    momenta, masks = _momenta(watch), _topk(watch)
    return GSNRPlan(
        momenta, masks, classification._replace(arms=(*momenta, *masks)),
        watch.options(), short)


# Where a run has 300 iterations: 15 windows, together 40 % of the updates.
# The rates are those around which methods did best in docs/results/
# digits100.md; the grid grows where they do not here.
FULL = _plan(
    Watch(interval=20, samples=8),
    Plan(
        arms=(),
        rates=(0.8, 1.6, 3.2),
        tuning_seeds=(100, 101),
        seeds=(0, 1, 2, 3, 4)))

# Proves that everything runs; the numbers mean nothing.
SMOKE_PLAN = _plan(
    Watch(interval=8, samples=4),
    SMOKE._replace(
        arms=(),
        rates=(0.8, 1.6),
        ablations=(),
        options=(*SMOKE.options, ('train_dataloader.batch_size', 16))),
    (('train_cfg.max_epochs', 1), ('train_cfg.val_interval', 1),
     ('train_dataloader.batch_size', 4),
     ('train_dataloader.dataset.indices', 64),
     ('val_dataloader.dataset.indices', 10)))
