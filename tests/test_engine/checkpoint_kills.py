"""Runs that are killed while they save, and whether they resume.

``python -m tests.test_engine.checkpoint_kills FOLDER safe|plain`` prints one
JSON object per killed run. Torch is imported once: every run is a fork.
"""
import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path

from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.fileio import LocalBackend
from mmengine.runner import Runner

from mmdeepkd.checkpoints import read_checkpoint
from mmdeepkd.engine import DistillRunner

from .test_runner import build
from .toy_distiller import ToyData

EPOCHS = 3


class Rising(BaseMetric):
    """A score that is better every time, so that every epoch is the best."""

    calls = 0

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        self.calls += 1
        return dict(score=self.calls)


def validated(folder, runner=DistillRunner, checkpoint=None, **kwargs):
    """Build a run that keeps one checkpoint, and the best."""
    checkpoint = checkpoint or dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=1,
        save_best='score', rule='greater')
    return build(
        folder, EPOCHS, runner,
        val_dataloader=dict(
            batch_size=12, dataset=ToyData(),
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        val_cfg=dict(), val_evaluator=Evaluator(Rising()),
        default_hooks=dict(checkpoint=checkpoint), **kwargs)[0]


class Moments:
    """The moments at which a run touches files of checkpoints.

    Args:
        last: Kill the process at this moment; None only counts.
    """

    def __init__(self, last=None):
        self.last = last
        self.seen = []

    def watch(self):
        sys.addaudithook(self._audit)
        LocalBackend.put = self._put_in_halves

    def pass_by(self, label):
        if len(self.seen) == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen.append(label)

    def _audit(self, event, args):
        """Called by Python before it opens, removes or renames a file."""
        writes = event == 'open' and isinstance(args[1], str) and set(
            args[1]) & set('wax+')
        if not writes and event not in ('os.remove', 'os.rename'):
            return
        name = os.path.basename(str(args[0]))
        if '.pth' in name or 'last_checkpoint' in name:
            self.pass_by(f'{event} {name}')

    def _put_in_halves(self, content, path):
        with open(path, 'wb') as file:
            file.write(content[:len(content) // 2])
            file.flush()
            self.pass_by(f'half of {os.path.basename(path)}')
            file.write(content[len(content) // 2:])


def forked(function, *args):
    """Run a function in a fork; return its answer, None if it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            with open(writer, 'w') as pipe:
                json.dump(function(*args), pipe)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader) as pipe:
        answer = pipe.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    return json.loads(answer) if status == 0 else dict(failed=True)


def train(folder, runner, last):
    """Train to the end, or to the moment; return the moments passed."""
    moments = Moments(last)
    run = validated(folder, runner)
    moments.watch()
    run.train()
    return moments.seen


def resume(folder, runner):
    """Resume a killed run and train on; say where it went on and ended."""
    best = [file.name for file in Path(folder).glob('best_*.pth')
            if _loads(file)]
    run = validated(folder, runner, resume=True)
    started = []
    train_epoch = run.train_loop.run_epoch
    run.train_loop.run_epoch = lambda: (started.append(run.epoch),
                                        train_epoch())
    run.train()
    return dict(best=best, started=started[:1] or [run.epoch],
                left=sorted(os.listdir(folder)))


def _loads(file):
    try:
        return 'state_dict' in read_checkpoint(file)
    except RuntimeError:
        return False


def kill_at_every_moment(root, runner, stop):
    """Kill runs from the first save that may cost a checkpoint on."""
    moments = forked(train, Path(root, 'whole'), runner, None)
    assert 'failed' not in moments
    first = next(i for i, label in enumerate(moments) if 'epoch_2' in label)
    for moment in range(first, len(moments))[:stop]:
        folder = Path(root, str(moment))
        assert forked(train, folder, runner, moment) is None
        yield dict(moment=moments[moment], **forked(resume, folder, runner))
        shutil.rmtree(folder)


def main(root, kind):
    # Six kills are enough to see MMEngine's own runner lose what it can.
    runner, stop = dict(safe=(DistillRunner, 20), plain=(Runner, 6))[kind]
    # What is slow the first time happens before the forks.
    validated(root, runner)
    for outcome in kill_at_every_moment(root, runner, stop):
        print(json.dumps(outcome), flush=True)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2])
