"""Runs that resume with the random numbers they would have drawn."""
import logging
from typing import Any, Dict, List, Optional

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdeepkd.checkpoints import random_state, set_random_state
from mmdeepkd.registry import HOOKS

from ..loops import ResumableIterLoop
from .resume_remarks import resume_remarks

# Where a checkpoint's meta has what this hook saves.
_KEY = 'random_states'


@HOOKS.register_module()
class RandomStateHook(Hook):
    """Save the random generators of every rank, restore them on resume.

    With it a run that was interrupted and resumed is, on CPU, bit for bit the
    run that was not: MMEngine restores all but the generators of torch (CPU
    and CUDA), numpy and Python. They are put back where the resumed run draws
    its first new batch. Validation draws nothing from them, so that training
    does not depend on how often it is validated.

    What cannot be exact is said once, at the start of training. The
    validation after an epoch comes after its checkpoint: if the run is killed
    between the two, the resumed one leaves it out and trains on.
    ``DistillRunner`` registers the hook, calls its ``after_resume``, and
    takes the :class:`ResumableIterLoop` that calls ``after_skipped_data`` and
    the :class:`SafeCheckpointHook` that calls ``collect_states``.
    """

    # The first to act: what other hooks draw in a resumed epoch they have
    # drawn in the uninterrupted one too.
    priority = 'HIGHEST'

    def __init__(self) -> None:
        self._before_val: Optional[Dict[str, Any]] = None
        self._loaded: Optional[Dict[str, Any]] = None
        self._remarks: List[str] = []
        self._resumed = False
        self._seed: Optional[int] = None

    def before_run(self, runner: Runner) -> None:
        """Keep the seed with which the data were built."""
        self._seed = runner.seed

    def collect_states(self, runner: Runner, meta: Dict[str, Any]) -> None:
        """Add the states of all ranks to what a checkpoint says of itself.

        To be called on every rank, unlike ``before_save_checkpoint``.

        Args:
            runner: The runner.
            meta: The checkpoint's meta; changed in place.
        """
        meta[_KEY] = _described(all_gather_object(self._state()))

    def before_save_checkpoint(self, runner: Runner,
                               checkpoint: Dict[str, Any]) -> None:
        """Add this rank's state if nobody collected those of all.

        Args:
            runner: The runner.
            checkpoint: The checkpoint about to be saved; changed in place.
        """
        checkpoint['meta'].setdefault(_KEY, _described([self._state()]))

    def after_load_checkpoint(self, runner: Runner,
                              checkpoint: Dict[str, Any]) -> None:
        """Keep what the checkpoint holds, should it be resumed from."""
        self._loaded = (checkpoint.get('meta') or {}).get(_KEY)

    def after_resume(self, runner: Runner) -> None:
        """Check what the checkpoint holds."""
        self._resumed = True
        if self._seed not in (None, runner.seed):
            self._remarks.append(
                f'the config has seed {self._seed}, the checkpoint '
                f'{runner.seed}, so that the data come in another order (set '
                f'randomness.seed={runner.seed})')
        if self._loaded is None:
            self._remarks.append(
                'the checkpoint holds no random states (plain MMEngine saves '
                'none)')
            return
        ranks = self._loaded['ranks']
        if len(ranks) != get_world_size():
            self._remarks.append(
                f'the checkpoint has the random states of {len(ranks)} '
                f'process(es), this run has {get_world_size()}, and they are '
                'not restored')
            self._loaded = None
            return
        if self._loaded['torch_version'] != torch.__version__:
            self._remarks.append(
                f'the checkpoint is of torch {self._loaded["torch_version"]}, '
                f'this is {torch.__version__}')
        saved = len(ranks[get_rank()]['cuda'])
        found = len(random_state()['cuda'])
        if saved != found:
            self._remarks.append(f'the checkpoint is of processes that saw '
                                 f'{saved} GPU(s), these see {found}')

    def before_train(self, runner: Runner) -> None:
        """Say once what cannot be exact."""
        remarks = self._remarks + resume_remarks(runner, self._resumed)
        if not remarks:
            return
        if self._resumed:
            start = 'This run resumes, but not bit for bit'
        else:
            start = 'If interrupted, this run will not resume bit for bit'
        runner.logger.log(logging.WARNING if self._resumed else logging.INFO,
                          f'{start}: {"; ".join(remarks)}.')

    def before_train_epoch(self, runner: Runner) -> None:
        """Restore the generators, unless data are to be skipped first."""
        if not isinstance(runner.train_loop, ResumableIterLoop):
            self._restore()

    def after_skipped_data(self, runner: Runner) -> None:
        """Restore the generators, the old data being skipped."""
        self._restore()

    def before_val(self, runner: Runner) -> None:
        """Keep the states."""
        self._before_val = random_state()

    def after_val(self, runner: Runner) -> None:
        """Put back the states from before the validation."""
        if self._before_val is not None:
            set_random_state(self._before_val)
            self._before_val = None

    def _state(self) -> Dict[str, Any]:
        return self._before_val or random_state()

    def _restore(self) -> None:
        """Once, and only of a checkpoint that is resumed from."""
        if self._resumed and self._loaded is not None:
            set_random_state(self._loaded['ranks'][get_rank()])
        self._loaded = None


def _described(states: List[Dict[str, Any]]) -> Dict[str, Any]:
    return dict(ranks=states, torch_version=str(torch.__version__))
