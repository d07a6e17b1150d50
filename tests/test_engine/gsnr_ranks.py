"""What the two processes of test_gsnr_ranks run."""
import torch
from mmengine.model import MMDistributedDataParallel
from torch.optim import SGD

from mmdeepkd.engine import DeepKDOptimWrapper, DistillRunner, GSNRHook
from tests.helpers.toys import toy_batch, toy_net, toy_streams

from .stream_runs import BATCH, KnownStreams, SmallDistiller, numbers, run

SAMPLES = 5
CASES = dict(
    known=(KnownStreams, {}),
    net=(SmallDistiller, {}),
    apart=(SmallDistiller, dict(merge=False)),
    accumulated=(SmallDistiller, dict(accumulative_counts=2)),
)


class Keeping(GSNRHook):
    """Keeps its reports, of every rank."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.reports = []

    def _reported(self, runner, report):
        super()._reported(runner, report)
        self.reports.append(report)


def measure(model, work_dir, batch, wrapper, **kwargs):
    """Return two reports of a run."""
    counts = wrapper.get('accumulative_counts', 1)
    hook = Keeping(interval=6 * counts, samples=SAMPLES)
    run(work_dir, model(), [hook], 12 * counts, batch, wrapper=wrapper,
        **kwargs)
    return [numbers(report) for report in hook.reports]


def measure_on_rank(rank, work_dir):
    return {
        name: measure(model, work_dir / name, BATCH // 2, wrapper,
                      runner=DistillRunner, launcher='pytorch')
        for name, (model, wrapper) in CASES.items()
    }


def observe_on_rank(rank, missing):
    """Observe while rank 1 has no loss of some streams.

    Returns:
        The gradients that both ranks are shown, and this rank's losses.
    """
    net = toy_net()
    wrapper = DeepKDOptimWrapper(
        SGD(net.parameters(), lr=0.1, momentum=0.9), delta=0.05)
    seen = []
    wrapper.observe(lambda shown: seen.append((
        {s: [None if g is None else g.clone() for g in values]
         for s, values in shown.grads.items()}, dict(shown.losses))))
    for step in range(2):
        losses = toy_streams(net, toy_batch(step).chunk(2)[rank])
        if rank == 1:
            losses = {s: v for s, v in losses.items() if s not in missing}
        # Of no parameter, on both ranks.
        losses['target'] = torch.ones(())
        wrapper.update_params(losses)
    return seen


class NoLogits(SmallDistiller):
    """On rank 1 the teacher has nothing to classify."""

    def forward(self, inputs, data_samples=None, mode='loss'):
        losses = super().forward(inputs, data_samples, mode)
        if torch.distributed.get_rank() == 1:
            empty = self.head(self.backbone(torch.zeros(0, 6)))
            losses.update(self.losses[0](
                empty, torch.zeros(0, 5), torch.zeros(0, dtype=torch.long)))
        return losses


def train_with_empty_rank(rank, work_dir):
    hook = Keeping(interval=5, samples=5)
    runner = run(work_dir, NoLogits(), [hook], 10, 2,
                 runner=DistillRunner, launcher='pytorch')
    assert isinstance(runner.model, MMDistributedDataParallel)
    return [numbers(report) for report in hook.reports]


def trained_on_rank(rank, folder):
    """Return weights and buffers with which training ends, by hooks."""
    found = {}
    for name, hooks in (('observed', [Keeping(interval=5, samples=5)]),
                        ('alone', [])):
        model = SmallDistiller()
        runner = run(folder / name, model, hooks, 10, BATCH // 2,
                     runner=DistillRunner, launcher='pytorch')
        states = runner.optim_wrapper.optimizer.state.values()
        found[name] = [
            *(p.detach() for p in model.parameters()),
            *(value for state in states for value in state.values())]
        assert len(hooks) == sum(len(hook.reports) == 2 for hook in hooks)
    return found


def run_all(rank, folder):
    """All in one process: starting it is what takes long."""
    return dict(
        measured=measure_on_rank(rank, folder),
        trained=trained_on_rank(rank, folder / 'trained'),
        missing=observe_on_rank(rank, ['non_target']),
        leader=observe_on_rank(rank, ['task']),
        empty=train_with_empty_rank(rank, folder / 'empty'))
