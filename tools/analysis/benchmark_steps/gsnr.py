"""What GSNRHook costs: a window of updates that are measured."""
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Tuple

from mmengine.logging import MMLogger
from mmengine.visualization import Visualizer
from torch import nn

from mmdeepkd.engine.agreement import Agreement
from mmdeepkd.engine.model_parts import split_by_part
from mmdeepkd.engine.stream_burst import StreamBurst
from mmdeepkd.engine.stream_report import write_report

from . import classification, detection
from .comparison import Plan
from .detection_losses import seeded
from .memory import peak_bytes
from .nets import Pair
from .ours import Ours
from .timing import interleaved
from .variants import speedups

# GSNRHook's own settings; the paper measures every 200 iterations.
INTERVAL = 200
SAMPLES = 8
LIMIT = 0.02


class Window(Ours):
    """The steps of a window, measured as GSNRHook does, and its report.

    Args:
        samples: Steps of the window.
        folder: The report is written there, as of a run.
        arguments: Those of :class:`Ours`.
    """

    def __init__(self, samples: int, folder: Path, *arguments: Any,
                 **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.samples = samples
        self.members = split_by_part(self.distiller, self.params)
        folder.mkdir()
        self.runner = SimpleNamespace(
            iter=0, epoch=0, log_dir=str(folder),
            logger=MMLogger.get_current_instance(),
            visualizer=Visualizer(
                vis_backends=[dict(type='LocalVisBackend')],
                save_dir=str(folder)))

    def __call__(self) -> None:
        """Train for the steps of a window and report on them."""
        burst, agreement = self.window(self.samples)
        report = burst.report(self.members, agreement)
        write_report(self.runner, report)

    def window(self, samples: int) -> Tuple[StreamBurst, Agreement]:
        """Train for some steps, all measured; return what was found."""
        burst = StreamBurst(self.optimizer)
        agreement = Agreement(self.distiller)
        self.wrapper.observe(burst.add)
        for _ in range(samples):
            super().__call__()
        self.wrapper.observe(None)
        agreement.close()
        return burst, agreement


def run(plan: Plan, folder: Path) -> Dict[str, Any]:
    """Compare steps with windows of steps that are measured.

    Args:
        plan: How much is measured.
        folder: For the teachers' checkpoints, and the reports.

    Returns:
        Setting, samples, interval, limit, and ``{case: {plain: facts,
        window: facts}}`` with seconds by round and peak_bytes.
    """
    samples = 4 if plan.smoke else SAMPLES
    cases: Dict[str, Any] = {}
    for name, arms in (('classification', _classifiers),
                       ('detection', _detectors)):
        steps = arms(plan, folder, samples)
        seconds = interleaved(steps, plan.rounds, plan.device, plan.say,
                              warm_up=1)
        for arm, step in steps.items():
            case, kind = arm.split(': ')
            # At the peak of its second step the moments are held.
            one = ((lambda step=step: step.window(2))
                   if kind == 'window' else step)
            cases.setdefault(f'{name}, {case}', {})[kind] = dict(
                seconds=seconds[arm],
                peak_bytes=peak_bytes(one, plan.device))
    return dict(
        setting='The pairs, batches and variant "ours, exact" of the sections '
        f'above. A window is {samples} measured steps, with their report in '
        'LocalVisBackend, the log and the JSON file', samples=samples,
        interval=INTERVAL, limit=LIMIT, cases=cases)


def _classifiers(plan: Plan, folder: Path, samples: int) -> Dict[str, Ours]:
    batch = classification.image_batch(4 if plan.smoke else 64)
    pair = classification.make_pair(
        classification.SMOKE_CONFIG if plan.smoke else classification.CONFIG,
        plan.device, folder)
    return _steps(pair, lambda: batch, classification.TOPK, samples,
                  folder / 'classification')


def _detectors(plan: Plan, folder: Path, samples: int) -> Dict[str, Ours]:
    scene = detection.SMOKE if plan.smoke else detection.FULL
    batch = detection.detection_batch(scene)
    return _steps(detection.make_pair(scene, plan.device, folder),
                  lambda: seeded(batch), detection.TOPK[scene.classes],
                  samples, folder / 'detection')


def _steps(pair: Pair, batch: Callable[[], Any], topk: int, samples: int,
           folder: Path) -> Dict[str, Ours]:
    """Return a step and a window, with and without merged streams."""

    def distiller() -> nn.Module:
        model = pair.distiller(**speedups())
        model.losses[0].topk = topk
        return model

    folder.mkdir()
    steps: Dict[str, Ours] = {}
    for merge in (True, False):
        settings = dict(pair.optimizer, merge=merge)
        case = f'merge={merge}'
        steps[f'{case}: plain'] = Ours(distiller(), batch, **settings)
        steps[f'{case}: window'] = Window(
            samples, folder / case, distiller(), batch, **settings)
    return steps


def overheads(plain: List[float], window: List[float], samples: int,
              interval: int) -> List[float]:
    """Return the share of training time that windows add, by round.

    Args:
        plain: Seconds of a step that is not measured.
        window: Seconds of a window, with its report.
        samples: Steps in it.
        interval: Steps from one window to the next.
    """
    return [(w - samples * p) / (interval * p)
            for p, w in zip(plain, window)]
