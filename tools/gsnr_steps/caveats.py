"""What the page does not show."""
from ..bench_steps.layout import bullets
from .plan import GSNRPlan


def caveats(plan: GSNRPlan) -> str:
    """Return what to keep in mind, a point a line."""
    return bullets([
        f'{len(plan.classification.seeds)} seeds are few, the detector has '
        'one: a difference below twice its standard error is no difference, '
        'and among this many comparisons one or two pass that bar by chance.',
        'The best K of the grid is chosen by the test accuracies that it is '
        'then shown with: its lead over the others is too large by that.',
        'The seeds vary initialisation and order. The data, the noise and '
        'the teacher are one draw, shared by all.',
        'A GSNR is that of a batch of the given size: it grows with it. The '
        'windows cover many iterations of a short training, in which the '
        'parameters move; what the mean moves by counts as noise.',
        'Settings have learning rates of their own, and the GSNR depends on '
        'where a training is: curves of two settings differ by both.',
        'The grid of learning rates begins where methods did best in '
        'docs/results/digits100.md, and grows where the best is on its edge.',
        'Nets of a few thousand parameters and a training of seconds: what '
        'is found here need not be found elsewhere.',
    ])
