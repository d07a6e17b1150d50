"""The course of the benchmark: teacher, tuning, final runs, ablations."""
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .arms import Arm, Options, Plan
from .executor import Executor
from .pool import Task
from .runs import Result, Run, identify
from .tuning import Tries, best_rate, extension

TEACHER_SEED = 0


def teacher_run(plan: Plan) -> Run:
    """Return the training of a plan's teacher."""
    return Run(plan.teacher, TEACHER_SEED, options=plan.options, test=True)


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
        tries: Validation accuracies by tuned arm and learning rate.
        rates: The chosen learning rate of every arm.
        final: Results of every arm by seed, at its chosen rate.
        final_runs: The runs that had these results.
        at_rates: Test accuracies of the final runs by arm and rate of the
            grid, where the plan asks for them.
        ablations: The settings, in the order of the plan.
        runs: Every run.
    """

    teacher: Result
    tries: Dict[str, Tries]
    rates: Dict[str, float]
    final: Dict[str, Dict[int, Result]]
    final_runs: Dict[str, Dict[int, Run]]
    at_rates: Dict[str, Tries]
    ablations: List[Ablated]
    runs: List[Run]


class Benchmark:
    """Trains what a plan asks for.

    Args:
        plan: The plan.
        executor: Trains runs, or knows their results.
        say: Receives the progress.
        beside: Other work, done beside the search for learning rates.
    """

    def __init__(self, plan: Plan, executor: Executor,
                 say: Callable[[str], None],
                 beside: Sequence[Task] = ()) -> None:
        self.plan = plan
        self.executor = executor
        self.say = say
        self.beside = beside
        self.runs: List[Run] = []
        self._teacher: Optional[str] = None

    def __call__(self) -> Outcome:
        """Train everything and return what was measured."""
        plan = self.plan
        finals = len(plan.arms) * len(plan.seeds) * (
            len(plan.rates) if plan.all_rates else 1)
        ablated = len(plan.ablation_seeds) * sum(
            len(ablation.settings) for ablation in plan.ablations)
        steps = 4 if plan.ablations else 3
        self.say(f'[1/{steps}] the teacher')
        teacher = self._train_teacher()
        self.say(f'[2/{steps}] learning rates, on the validation split')
        self.executor.expected = finals + ablated
        tries = self._tune()
        rates = {arm.name: best_rate(tries[arm.rate_of or arm.name])
                 for arm in plan.arms}
        self.say(f'[3/{steps}] final runs, on the test split')
        self.executor.expected = ablated
        runs = self._final_runs(rates)
        final = self._train_final(runs)
        at_rates = self._test_all_rates(runs, final) if plan.all_rates else {}
        ablations = []
        if plan.ablations:
            self.say(f'[4/{steps}] ablations')
            self.executor.expected = 0
            ablations = self._ablate(rates[plan.ablated])
        return Outcome(teacher, tries, rates, final, runs, at_rates, ablations,
                       self.runs)

    def _execute(self, runs: Sequence[Run],
                 beside: Sequence[Task] = ()) -> Dict[Run, Result]:
        self.runs += runs
        return self.executor(runs, beside)

    def _train_teacher(self) -> Result:
        run = teacher_run(self.plan)
        self._teacher = identify(run)
        return self._execute([run])[run]

    def _run(self, arm: Arm, seed: int, rate: float, test: bool,
             options: Optional[Options] = None) -> Run:
        distils = 'baseline_' not in arm.config
        changed = arm.options if options is None else options
        return Run(arm.config, seed, rate,
                   (*changed, *self.plan.options),
                   self._teacher if distils else None, test)

    def _tune(self) -> Dict[str, Tries]:
        """Try every arm at the grid, then beyond where the edge is best."""
        plan = self.plan
        tuned = [arm for arm in plan.arms if not arm.rate_of]
        tries: Dict[str, Tries] = {arm.name: {} for arm in tuned}
        wanted = [(arm, rate) for arm in tuned for rate in plan.rates]
        beside = self.beside
        while wanted:
            self._try(wanted, tries, beside)
            beside = ()
            more = [(arm, extension(tries[arm.name], plan.rates,
                                    plan.max_extensions))
                    for arm in tuned]
            wanted = [(arm, rate) for arm, rate in more if rate is not None]
        return tries

    def _try(self, wanted: Sequence[Tuple[Arm, float]],
             tries: Dict[str, Tries], beside: Sequence[Task]) -> None:
        runs = {(arm.name, rate): [
            self._run(arm, seed, rate, False)
            for seed in self.plan.tuning_seeds
        ] for arm, rate in wanted}
        results = self._execute([run for some in runs.values()
                                 for run in some], beside)
        for (name, rate), some in runs.items():
            tries[name][rate] = [results[run].val for run in some]

    def _final_runs(self,
                    rates: Dict[str, float]) -> Dict[str, Dict[int, Run]]:
        return {
            arm.name: self._finals_of(arm, rates[arm.name])
            for arm in self.plan.arms
        }

    def _finals_of(self, arm: Arm, rate: float) -> Dict[int, Run]:
        return {
            seed: self._run(arm, seed, rate, True,
                            (*arm.options, *arm.watched))
            for seed in self.plan.seeds
        }

    def _test_all_rates(self, runs: Dict[str, Dict[int, Run]],
                        final: Dict[str, Dict[int, Result]]
                        ) -> Dict[str, Tries]:
        """Train the final runs at the other rates of the grid too."""
        wanted = {(arm.name, rate): self._finals_of(arm, rate)
                  for arm in self.plan.arms for rate in self.plan.rates}
        results = {run: final[name][seed] for name, by_seed in runs.items()
                   for seed, run in by_seed.items()}
        results.update(self._execute([
            run for by_seed in reversed(list(wanted.values()))
            for run in by_seed.values() if run not in results]))
        tested: Dict[str, Tries] = {name: {} for name in runs}
        for (name, rate), by_seed in wanted.items():
            tested[name][rate] = [results[run].test
                                  for run in by_seed.values()]
        return tested

    def _train_final(
            self, runs: Dict[str, Dict[int, Run]]
    ) -> Dict[str, Dict[int, Result]]:
        # The last arms mostly take the longest: begun first, they leave no
        # core idle at the end.
        results = self._execute([
            run for by_seed in reversed(list(runs.values()))
            for run in by_seed.values()
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
