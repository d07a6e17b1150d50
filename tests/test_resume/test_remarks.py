"""What keeps a resume from being exact is said once, when it begins."""
import logging
from unittest import mock

import torch
from mmengine.runner import IterBasedTrainLoop

from mmdeepkd.engine.hooks.resume_remarks import resume_remarks

from .runs import Interrupt, Interrupted, Listener, start
from .toy_runs import toy_config

RESUMED = 'This run resumes, but not bit for bit: '


def remarks(cfg, work_dir, *hooks, resume=False):
    """Return (level, text) of what is said about resuming."""
    listener = Listener()
    try:
        start(cfg, work_dir, listener, *hooks, resume=resume)
    except Interrupted:
        pass
    return [(level, text) for level, text in listener.records
            if 'bit for bit' in text]


def resume_remark(cfg, work_dir, change=None, stop=10, edit=None):
    """Interrupt a run, edit its checkpoint, resume; return the remark."""
    remarks(cfg, work_dir, Interrupt(stop))
    path = (work_dir / 'last_checkpoint').read_text()
    if edit:
        checkpoint = torch.load(path)
        edit(checkpoint['meta'])
        torch.save(checkpoint, path)
    said = remarks({**cfg, **(change or {})}, work_dir, resume=True)
    assert len(said) == 1 and said[0][0] == logging.WARNING
    assert said[0][1].startswith(RESUMED) and said[0][1].endswith('.')
    return said[0][1][len(RESUMED):-1]


def test_nothing_is_said_where_all_is_exact(tmp_path):
    cfg = toy_config(workers=1)

    assert remarks(cfg, tmp_path, Interrupt(10)) == []
    assert remarks(cfg, tmp_path, resume=True) == []


def test_persistent_workers_are_named_before_anything_is_lost(tmp_path):
    cfg = toy_config(workers=1, persistent=True)
    cfg['train_cfg']['max_epochs'] = 1
    (level, text), = remarks(cfg, tmp_path)

    assert level == logging.INFO
    assert text.startswith('If interrupted, this run will not resume bit for '
                           'bit: persistent workers carry their random aug')
    assert 'set train_dataloader.persistent_workers=False' in text


METRICS_LOST = (
    'ReduceOnPlateauLR misses the metrics of a validation that follows the '
    'checkpoint; EarlyStoppingHook saves neither its best score nor for how '
    'long it has waited, and begins anew')


def with_memory_of_metrics(**kwargs):
    schedule = dict(type='ReduceOnPlateauLR', monitor='score', rule='greater')
    cfg = dict(toy_config(**kwargs), param_scheduler=[schedule, schedule])
    cfg['custom_hooks'].append(dict(type='EarlyStoppingHook',
                                    monitor='score', rule='greater'))
    return cfg


def test_what_remembers_metrics_is_named(tmp_path):
    cfg = with_memory_of_metrics(val_interval=1)
    said = remarks(cfg, tmp_path / 'a', Interrupt(1))

    assert said == [(logging.INFO, 'If interrupted, this run will not resume '
                     f'bit for bit: {METRICS_LOST}.')]
    assert resume_remark(cfg, tmp_path / 'b') == METRICS_LOST


def test_but_not_where_nothing_is_validated(tmp_path):
    assert remarks(with_memory_of_metrics(), tmp_path, Interrupt(1)) == []


def test_the_schedules_of_several_optimizers_are_named():
    runner = mock.Mock(val_loop=mock.Mock(), hooks=[], param_schedulers=dict(
        a=[], b=[mock.Mock(spec=['need_val_args'])]))

    assert 'Mock misses the metrics' in resume_remarks(runner, False)[-1]


def test_a_checkpoint_without_random_states(tmp_path):
    text = resume_remark(toy_config(), tmp_path,
                         edit=lambda meta: meta.pop('random_states'))

    assert text == ('the checkpoint holds no random states (plain MMEngine '
                    'saves none)')


def test_another_number_of_processes(tmp_path):
    text = resume_remark(
        toy_config(), tmp_path,
        edit=lambda meta: meta['random_states'].update(
            ranks=meta['random_states']['ranks'] * 4))

    assert text == ('the checkpoint has the random states of 4 process(es), '
                    'this run has 1, and they are not restored')


def test_another_torch_and_other_gpus(tmp_path):
    def edit(meta):
        meta['random_states']['torch_version'] = '1.0'
        meta['random_states']['ranks'][0]['cuda'] = [torch.zeros(16)] * 3

    assert resume_remark(toy_config(), tmp_path, edit=edit) == (
        f'the checkpoint is of torch 1.0, this is {torch.__version__}; the '
        'checkpoint is of processes that saw 3 GPU(s), these see '
        f'{torch.cuda.device_count()}')


def test_a_checkpoint_inside_an_epoch(tmp_path):
    cfg = toy_config()
    cfg['default_hooks']['checkpoint'].update(by_epoch=False, interval=5)

    assert resume_remark(cfg, tmp_path) == (
        'the checkpoint was saved 1 iterations into epoch 4, which begins '
        'anew (save by epoch, or train by iteration)')


def test_a_checkpoint_inside_an_accumulation(tmp_path):
    cfg = toy_config(accumulative_counts=2)

    assert resume_remark(cfg, tmp_path) == (
        'the checkpoint was saved 1 iterations into an accumulation of 2, '
        'whose gradients are lost (save at a multiple of 2 iterations)')


class OwnLoop(IterBasedTrainLoop):
    """A loop of a user's own."""


def test_another_loop_is_left_alone_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda s: None)
    cfg = toy_config(False)
    cfg['train_cfg'] = dict(type=OwnLoop, max_iters=6)

    assert 'OwnLoop is a loop of your own' in resume_remark(
        cfg, tmp_path, stop=4)


def test_another_seed_in_the_config(tmp_path):
    text = resume_remark(toy_config(seed=3), tmp_path,
                         change=dict(randomness=dict(seed=4)))

    assert text == ('the config has seed 4, the checkpoint 3, so that the '
                    'data come in another order (set randomness.seed=3)')
