"""What the page does not show."""
from ..bench_steps.layout import bullets
from .plan import DiffKDPlan


def caveats(plan: DiffKDPlan) -> str:
    """Return what to keep in mind, a point a line."""
    seeds = (len(plan.detection.seeds), len(plan.classification.seeds))
    return bullets([
        f'{seeds[0]} and {seeds[1]} seeds are few: a difference below twice '
        'its standard error is no difference, the standard error of so few '
        'is itself uncertain, and among this many comparisons one or two '
        'pass that bar by chance.',
        f'{len(plan.detection.rates)} learning rates for the detectors are '
        f'coarse, and {len(plan.detection.tuning_seeds)} runs each cannot '
        'tell a rate at which every run succeeds from one at which some do '
        'not: the table of every rate shows both. Not tried: the loss '
        'weights, what else trains the diffusion model, a second own '
        'momentum.',
        "The settings in the configs come from earlier tries, DeepKD's from "
        'more of them (docs/results/demo.md). The weight of the logits in '
        'DiffKD on Digits-100, 0.1 in the place of 1, is from six single '
        'runs (configs/digits100/README.md); the other weights of DiffKD are '
        'the published 1.',
        'The own momentum is shown, not chosen, and its learning rate is '
        "that of the task's momentum. With another momentum the steps of a "
        'stream have another size, lr / (1 - momentum): what differs is '
        'both.',
        "A large rate and a large momentum are too much for DiffKD's "
        'auto-encoder, whose loss then becomes inf. Tuned on Digits-100 with '
        "one seed instead of two, DeepKD + DiffKD with the task's momentum, "
        '0.975, was given lr 1.6: all 5 final runs diverged within 80 '
        'iterations, while with own momenta of 0.9 and 0.825 none did at that '
        'rate (72.4 and 72.6 on average). A smaller rate for the modules, '
        "paramwise_cfg=dict(custom_keys={'distill': dict(lr_mult=0.1)}), "
        'let the run of seed 100 at lr 3.2 finish, at 71.6 on the validation '
        'pairs. (Runs of commit ac4f4e4.)',
        'DiffKD alone matches the last map and the logits on Digits-100; '
        "combined with DeepKD only the map, as DeepKD's losses are of the "
        'logits.',
        'The seeds vary initialisation and order. The data, the noise and '
        'the teacher are one draw, shared by all.',
        'The scenes that learning rates are chosen on and those of the '
        'results show the same images of digits, placed differently; none of '
        'them is in the training scenes.',
        'The published settings are for long trainings of large nets. Here '
        'the diffusion model has 300 iterations to learn what it denoises.',
    ])
