"""The course of the benchmark: teacher, tuning, final runs, ablations."""
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .arms import TEACHER, Arm, Options, Plan
from .executor import Executor
from .runs import Result, Run, identify
from .tuning import Tries, best_rate, extension

TEACHER_SEED = 0


class Ablated(NamedTuple):
    """One setting of an ablation, and its test accuracies by seed."""

    title: str
    label: str
    rate: float
    test: Dict[int, float]


class Outcome(NamedTuple):
    """All that was measured.

    Attributes:
        teacher: The teacher's result.
        tries: Validation accuracies by arm and learning rate.
        rates: The chosen learning rate of every arm.
        final: Results of every arm by seed, at its chosen rate.
        ablations: The settings, in the order of the plan.
        runs: Every run.
    """

    teacher: Result
    tries: Dict[str, Tries]
    rates: Dict[str, float]
    final: Dict[str, Dict[int, Result]]
    ablations: List[Ablated]
    runs: List[Run]


Execute = Callable[[Sequence[Run]], Dict[Run, Result]]


class Benchmark:
    """Trains what a plan asks for.

    Args:
        plan: The plan.
        executor: Trains runs, or knows their results.
        say: Receives the progress.
    """

    def __init__(self, plan: Plan, executor: Executor,
                 say: Callable[[str], None]) -> None:
        self.plan = plan
        self.executor = executor
        self.say = say
        self.runs: List[Run] = []
        self._teacher: Optional[str] = None

    def __call__(self) -> Outcome:
        """Train everything and return what was measured."""
        plan = self.plan
        finals = len(plan.arms) * len(plan.seeds)
        ablated = len(plan.ablation_seeds) * sum(
            len(ablation.settings) for ablation in plan.ablations)
        self.say('[1/4] the teacher')
        teacher = self._train_teacher()
        self.say('[2/4] learning rates, on the validation split')
        self.executor.expected = finals + ablated
        tries = self._tune()
        rates = {name: best_rate(tried) for name, tried in tries.items()}
        self.say('[3/4] final runs, on the test split')
        self.executor.expected = ablated
        final = self._train_final(rates)
        self.say('[4/4] ablations')
        self.executor.expected = 0
        ablations = self._ablate(rates[plan.ablated])
        return Outcome(teacher, tries, rates, final, ablations, self.runs)

    def _execute(self, runs: Sequence[Run]) -> Dict[Run, Result]:
        self.runs += runs
        return self.executor(runs)

    def _train_teacher(self) -> Result:
        run = Run(TEACHER, TEACHER_SEED, options=self.plan.options, test=True)
        self._teacher = identify(run)
        return self._execute([run])[run]

    def _run(self, arm: Arm, seed: int, rate: float, test: bool,
             options: Optional[Options] = None) -> Run:
        distils = 'baseline_' not in arm.config
        changed = arm.options if options is None else options
        return Run(arm.config, seed, rate, (*changed, *self.plan.options),
                   self._teacher if distils else None, test)

    def _tune(self) -> Dict[str, Tries]:
        """Try every arm at the grid, then beyond where the edge is best."""
        plan = self.plan
        tries: Dict[str, Tries] = {arm.name: {} for arm in plan.arms}
        wanted = [(arm, rate) for arm in plan.arms for rate in plan.rates]
        while wanted:
            self._try(wanted, tries)
            more = [(arm, extension(tries[arm.name], plan.rates,
                                    plan.max_extensions))
                    for arm in plan.arms]
            wanted = [(arm, rate) for arm, rate in more if rate is not None]
        return tries

    def _try(self, wanted: Sequence[Tuple[Arm, float]],
             tries: Dict[str, Tries]) -> None:
        runs = {(arm.name, rate): [
            self._run(arm, seed, rate, test=False)
            for seed in self.plan.tuning_seeds
        ] for arm, rate in wanted}
        results = self._execute([run for some in runs.values()
                                 for run in some])
        for (name, rate), some in runs.items():
            tries[name][rate] = [results[run].val for run in some]

    def _train_final(
            self, rates: Dict[str, float]) -> Dict[str, Dict[int, Result]]:
        runs = {
            arm.name: {
                seed: self._run(arm, seed, rates[arm.name], test=True)
                for seed in self.plan.seeds
            }
            for arm in self.plan.arms
        }
        results = self._execute([
            run for by_seed in runs.values() for run in by_seed.values()
        ])
        return {
            name: {seed: results[run] for seed, run in by_seed.items()}
            for name, by_seed in runs.items()
        }

    def _ablate(self, rate: float) -> List[Ablated]:
        plan = self.plan
        arm = next(arm for arm in plan.arms if arm.name == plan.ablated)
        runs = {(ablation.title, label): {
            seed: self._run(arm, seed, rate, True, options)
            for seed in plan.ablation_seeds
        } for ablation in plan.ablations
            for label, options in ablation.settings.items()}
        results = self._execute([
            run for by_seed in runs.values() for run in by_seed.values()
        ])
        return [
            Ablated(title, label, rate, {
                seed: results[run].test for seed, run in by_seed.items()
            }) for (title, label), by_seed in runs.items()
        ]
