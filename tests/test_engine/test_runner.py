"""DistillRunner end to end on a toy model: hooks, checkpoints, resume."""
import copy
import itertools
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.runner import Runner

from mmdeepkd.checkpoints import UnsafeCheckpointError
from mmdeepkd.engine import DistillRunner, PlainCheckpointHook
from tests.helpers.processes import free_port, run_command
from tests.helpers.toys import equal, weights

from .toy_distiller import Recorder, ToyData, ToyDistiller

_names = itertools.count()


def build(work_dir, epochs=2, runner=DistillRunner, delta=0.05,
          milestone=1, **kwargs):
    recorder = Recorder()
    made = runner(
        model=ToyDistiller(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=4, num_workers=0, dataset=ToyData(),
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(
            type='mmdeepkd.DeepKDOptimWrapper', delta=delta,
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9,
                           weight_decay=0.01),
            paramwise_cfg=dict(norm_decay_mult=0.),
            clip_grad=dict(max_norm=1.)),
        param_scheduler=kwargs.pop('param_scheduler', dict(
            type='MultiStepLR', milestones=[milestone])),
        custom_hooks=[
            dict(type='mmdeepkd.DynamicTopKHook'),
            dict(type='mmdeepkd.WarmupHook', epochs=4), recorder,
            *kwargs.pop('custom_hooks', [])
        ],
        randomness=dict(seed=0),
        log_level=kwargs.pop('log_level', 'ERROR'),
        experiment_name=f'tiny_run_{next(_names)}',
        **kwargs)
    return made, recorder


def buffers(runner):
    optimizer = runner.optim_wrapper.optimizer
    return [(key, value) for group in optimizer.param_groups
            for p in group['params']
            for key, value in sorted(optimizer.state[p].items())]


def test_a_resumed_run_is_the_straight_run(tmp_path):
    straight, seen = build(tmp_path / 'straight')
    straight.train()
    # An interrupted run of the same length: schedules count to its end.
    stopped, _ = build(tmp_path / 'stopped')
    stopped.train()
    resumed, again = build(
        tmp_path / 'resumed',
        load_from=str(tmp_path / 'stopped' / 'epoch_1.pth'), resume=True)
    resumed.train()

    assert equal(weights(straight.model), weights(resumed.model))
    keys = {key for key, _ in buffers(resumed)}
    assert keys == {'task_momentum_buffer', 'target_momentum_buffer'}
    assert [k for k, _ in buffers(straight)] == [
        k for k, _ in buffers(resumed)
    ]
    assert equal([b for _, b in buffers(straight)],
                 [b for _, b in buffers(resumed)])
    assert seen.topk == [1] * 3 + [10] * 3
    assert (again.topk, again.factors) == (seen.topk[3:], seen.factors[3:])


def test_the_buffers_in_the_file_are_what_is_resumed(tmp_path):
    trained, _ = build(tmp_path, epochs=1)
    trained.train()
    resumed, _ = build(tmp_path / 'resumed', epochs=2,
                       load_from=str(tmp_path / 'epoch_1.pth'), resume=True)
    resumed.train_loop  # noqa: B018  (builds the loop that counts epochs)
    resumed.optim_wrapper = resumed.build_optim_wrapper(
        resumed.optim_wrapper)
    resumed.load_or_resume()

    assert len(buffers(trained)) == 12
    assert equal([b for _, b in buffers(trained)],
                 [b for _, b in buffers(resumed)])
    assert resumed.epoch == 1


def test_torch_opens_the_checkpoint_on_its_safe_default(tmp_path):
    runner, _ = build(tmp_path, epochs=1)
    runner.train()
    file = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)

    assert set(file) == {'meta', 'state_dict', 'message_hub', 'optimizer',
                         'param_schedulers'}
    assert equal(file['state_dict'].values(),
                 runner.model.state_dict().values())


def test_the_histories_of_the_log_are_resumed(tmp_path):
    trained, _ = build(tmp_path, epochs=1)
    trained.train()
    resumed, _ = build(tmp_path / 'resumed', epochs=1,
                       load_from=str(tmp_path / 'epoch_1.pth'), resume=True)
    resumed.train()
    for name in ('train/loss', 'train/lr', 'train/grad_norm', 'train/topk'):
        old, new = (r.message_hub.get_scalar(name)
                    for r in (trained, resumed))

        assert len(old.data[0]) > 0
        assert old.data[0].tolist() == new.data[0].tolist()


def test_an_object_of_another_hook_is_reported(tmp_path, monkeypatch):
    runner, _ = build(tmp_path)
    warned = []
    monkeypatch.setattr(runner.logger, 'warning', warned.append)
    checkpoint = dict(meta=dict(when=Recorder()), state_dict={})
    PlainCheckpointHook().before_save_checkpoint(runner, checkpoint)

    assert 'meta.when: Recorder' in warned[0]
    assert 'this run cannot resume from it' in warned[0]


def test_what_was_reported_cannot_be_resumed(tmp_path):
    class Adds(Recorder):
        def before_save_checkpoint(self, runner, checkpoint):
            checkpoint['meta'].update(when=equal, words={'a'})

    build(tmp_path, epochs=1, custom_hooks=[Adds()])[0].train()
    with pytest.raises(UnsafeCheckpointError, match='toys.equal'):
        build(tmp_path, epochs=2, resume=True)[0].train()


def hook_types(runner):
    return [type(hook).__name__ for hook in runner.hooks]


def test_the_plain_checkpoint_hook_is_a_default(tmp_path):
    runner, _ = build(tmp_path)

    assert hook_types(runner).count('PlainCheckpointHook') == 1
    assert 'SafeCheckpointHook' in hook_types(runner)


def test_none_removes_the_plain_checkpoint_hook(tmp_path):
    hooks = dict(plain_checkpoint=None)
    runner, _ = build(tmp_path, default_hooks=hooks)

    assert 'PlainCheckpointHook' not in hook_types(runner)
    assert hooks == dict(plain_checkpoint=None)


@pytest.mark.parametrize('name, left_out', [
    ('topk', None), ('gsnr', None), ('finite_loss', 'FiniteLossHook'),
    ('timer', 'IterTimerHook'), ('runtime_info', 'RuntimeInfoHook'),
    ('sampler_seed', 'DistSamplerSeedHook'), ('logger', 'LoggerHook'),
    ('param_scheduler', 'ParamSchedulerHook'),
    ('checkpoint', 'SafeCheckpointHook')])
def test_none_leaves_out_any_hook(name, left_out, tmp_path):
    """One of MMEngine, of ours, or what another config has added."""
    every = hook_types(build(tmp_path)[0])
    runner, _ = build(tmp_path, default_hooks={name: None})
    expected = [hook for hook in every if hook != left_out]

    assert len(expected) == len(every) - (left_out is not None)
    assert sorted(hook_types(runner)) == sorted(expected)


@pytest.mark.parametrize('name, meant', [
    ('finite_los', 'finite_loss'), ('dynamic_topk', 'topk'), ('time', 'timer'),
    ('topk', None), ('gsnr', None), ('visualization', None)])
def test_none_for_a_hook_of_almost_that_name(name, meant, tmp_path):
    others = dict(topk=dict(type='mmdeepkd.DynamicTopKHook'))
    hooks = {**others, name: None}
    runner = build(tmp_path, default_hooks=hooks, log_level='WARNING')[0]
    path, = Path(runner.log_dir).glob('*.log')

    said = [line for line in path.read_text().splitlines()
            if 'WARNING - default_hooks.' in line]
    assert [line.split('default_hooks.')[1] for line in said] == [
        f'{name} is None, which leaves out no hook of this run unless a '
        f'config of _base_ has one of that name: did you mean {meant!r}?'
    ] * (meant is not None)


def test_a_config_leaves_out_a_hook_of_its_base(tmp_path):
    base = tmp_path / 'base.py'
    base.write_text(
        "default_hooks = dict(topk=dict(type='mmdeepkd.DynamicTopKHook'))\n")
    own = tmp_path / 'own.py'
    own.write_text("_base_ = ['base.py']\ndefault_hooks = dict(topk=None)\n")
    # The run has one among its custom hooks.
    counts = [
        hook_types(build(tmp_path, default_hooks=Config.fromfile(
            path).default_hooks)[0]).count('DynamicTopKHook')
        for path in (base, own)]

    assert counts == [2, 1]


def test_the_users_default_hooks_merge(tmp_path):
    hooks = dict(checkpoint=dict(type='CheckpointHook', interval=7),
                 timer=None)
    given = copy.deepcopy(hooks)
    runner, _ = build(tmp_path, default_hooks=hooks)
    by_type = dict(zip(hook_types(runner), runner.hooks))

    assert by_type['SafeCheckpointHook'].interval == 7
    assert 'IterTimerHook' not in by_type
    assert 'PlainCheckpointHook' in by_type
    assert hooks == given


def test_mmengines_runner_has_no_such_hook(tmp_path):
    runner, _ = build(tmp_path, runner=Runner)

    assert 'PlainCheckpointHook' not in hook_types(runner)


def test_the_runner_is_found_by_its_name(tmp_path):
    from mmengine.registry import RUNNERS

    assert RUNNERS.get('mmdeepkd.DistillRunner') is DistillRunner


def test_the_average_of_the_weights_is_saved_and_resumed(tmp_path):
    ema = EMAHook()
    runner, _ = build(tmp_path, custom_hooks=[ema])
    runner.train()
    again = EMAHook()
    resumed, _ = build(tmp_path / 'resumed', custom_hooks=[again],
                       load_from=str(tmp_path / 'epoch_1.pth'), resume=True)
    resumed.train()

    assert equal(weights(runner.model), weights(resumed.model))
    assert equal(ema.ema_model.state_dict().values(),
                 again.ema_model.state_dict().values())


def test_a_launcher_that_needs_gpus_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr('mmdeepkd.engine.runner._on_cpu', lambda: True)
    with pytest.raises(RuntimeError, match="launcher 'slurm' needs GPUs"):
        build(tmp_path, launcher='slurm')


def test_plain_mmengine_resumes_the_schedule(tmp_path):
    runner, _ = build(tmp_path, epochs=4, milestone=3)
    runner.train()
    plain, _ = build(
        tmp_path / 'plain', epochs=4, milestone=3, runner=Runner,
        resume=True, load_from=str(tmp_path / 'epoch_2.pth'))
    plain.train()

    assert runner.optim_wrapper.get_lr()['lr'][0] == pytest.approx(0.01)
    assert plain.optim_wrapper.get_lr()['lr'][0] == pytest.approx(0.01)


LEAVE_EARLY = """
import sys
import torch
from mmengine.hooks import Hook
from tests.test_engine.test_runner import build

class Talk(Hook):
    def after_run(self, runner):
        for _ in range(300):
            torch.distributed.all_reduce(torch.ones(50000), async_op=True)

runner, _ = build(sys.argv[1], launcher='pytorch', env_cfg=dict(),
                  epochs=1, custom_hooks=[Talk()])
assert torch.distributed.get_backend() == 'gloo'
runner.train()
"""


def test_threads_of_gloo_do_not_abort_a_process_that_ends(tmp_path):
    script = tmp_path / 'leave_early.py'
    script.write_text(LEAVE_EARLY)
    result = run_command(
        sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2',
        f'--master_port={free_port()}', script, tmp_path)

    assert result.returncode == 0, result.stderr[-2000:]
