"""A run is resumed from its own complete state, or the reason is said."""
import pytest
import torch
from mmengine.hooks import EMAHook
from torch import nn

from mmdeepkd.checkpoints import read_checkpoint
from tests.helpers.toys import equal, weights

from .checkpoint_kills import validated
from .test_runner import build

RESUME_ELSEWHERE = 'start from these weights with load_from=... and resume='


@pytest.fixture
def saved(tmp_path):
    """The checkpoint of one epoch."""
    build(tmp_path / 'saved', epochs=1)[0].train()
    return tmp_path / 'saved' / 'epoch_1.pth'


def resumed(tmp_path, file, change=None, **kwargs):
    """Resume from a file with a model that is changed, and train on."""
    runner, _ = build(tmp_path / 'resumed', load_from=str(file), resume=True,
                      **kwargs)
    if change:
        change(runner.model)
    runner.train()
    return runner


def rewritten(file, change):
    checkpoint = read_checkpoint(file)
    torch.save(change(checkpoint), file)
    return file


@pytest.mark.parametrize('change, lacks', [
    (lambda c: c['state_dict'],
     'the progress, the log, the optimizer, the schedules'),
    (lambda c: dict(state_dict=c['state_dict'], meta=c['meta']),
     'the log, the optimizer, the schedules'),
])
def test_weights_alone_cannot_be_resumed(tmp_path, saved, change, lacks):
    rewritten(saved, change)
    with pytest.raises(RuntimeError, match=(
            rf'epoch_1.pth cannot be resumed from, it holds weights but not '
            rf'{lacks} \(as best_.*{RESUME_ELSEWHERE}')):
        resumed(tmp_path, saved)


def test_a_best_checkpoint_cannot_be_resumed(tmp_path):
    validated(tmp_path).train()
    with pytest.raises(RuntimeError, match=(
            r'best_score_epoch_3.pth cannot.*but not the optimizer, the sche'
            r'dules .*resume from an epoch_\*.pth or iter')):
        resumed(tmp_path, tmp_path / 'best_score_epoch_3.pth')


@pytest.mark.parametrize('option, lacks', [
    ('save_optimizer', 'the optimizer'),
    ('save_param_scheduler', 'the schedules'),
])
def test_a_file_saved_in_part_says_by_which_option(tmp_path, option, lacks):
    part = dict(checkpoint=dict(type='CheckpointHook', **{option: False}))
    build(tmp_path, epochs=1, default_hooks=part)[0].train()
    with pytest.raises(RuntimeError, match=(
            rf'epoch_1.pth cannot be resumed from, it holds weights but not '
            rf'{lacks} \(the run saved it with save_optimizer=False'
            r' or save_param_scheduler=False of CheckpointHook\): to '
            r'begin these anew, set default_hooks=dict\(resume_check=None\), '
            f'or {RESUME_ELSEWHERE}')):
        resumed(tmp_path, tmp_path / 'epoch_1.pth')
    runner = resumed(tmp_path, tmp_path / 'epoch_1.pth',
                     default_hooks=dict(resume_check=None))

    assert runner.epoch == 2


class Stateful(nn.Identity):
    """A module whose state is no tensor."""

    def get_extra_state(self):
        return dict(scale=1)

    def set_extra_state(self, state):
        self.state = state


def test_a_state_that_is_no_tensor_is_no_difference(tmp_path):
    def extend(model):
        model.extra = Stateful()

    runner, _ = build(tmp_path, epochs=1)
    extend(runner.model)
    runner.train()
    runner = resumed(tmp_path, tmp_path / 'epoch_1.pth', extend)

    assert runner.model.extra.state == dict(scale=1)


def other_classes(model):
    model.net[2] = nn.Linear(8, 4)


def more_layers(model):
    model.more = nn.Linear(2, 2)


def fewer_layers(model):
    model.norm = nn.Identity()


@pytest.mark.parametrize('change, said', [
    (other_classes, r'2 of another shape \(net.2.weight: \(5, 8\) in the '
     r'file, \(4, 8\) in the model, net.2.bias: .*\)'),
    (more_layers, r'2 missing \(more.weight, more.bias\)'),
    (fewer_layers, r'4 not in it \(norm.weight, norm.bias, .*\)'),
])
@pytest.mark.parametrize('hooks', [[], [dict(type='EMAHook')]])
def test_another_model_cannot_be_resumed(tmp_path, change, said, hooks):
    build(tmp_path, epochs=1, custom_hooks=hooks)[0].train()
    with pytest.raises(RuntimeError, match=(
            f'epoch_1.pth cannot be resumed from, it is of another model: '
            f'{said}; resume with the config it was trained with')):
        resumed(tmp_path, tmp_path / 'epoch_1.pth', change,
                custom_hooks=hooks)


def test_weights_alone_can_be_loaded(tmp_path, saved):
    file = read_checkpoint(saved)
    rewritten(saved, lambda c: c['state_dict'])
    runner, _ = build(tmp_path / 'loaded', load_from=str(saved))
    runner.load_or_resume()

    assert torch.equal(runner.model.net[0].weight,
                       file['state_dict']['net.0.weight'])


def test_what_fits_is_taken_on_request(tmp_path, saved):
    rewritten(saved, lambda c: {k: v for k, v in c.items()
                                if k != 'optimizer'})
    runner = resumed(tmp_path, saved, default_hooks=dict(resume_check=None))

    assert runner.epoch == 2


@pytest.mark.parametrize('change', [
    lambda c: {**c, 'state_dict': {
        f'module.{k}': v for k, v in c['state_dict'].items()}},
    lambda c: {**c, 'state_dict': {
        k: v for k, v in c['state_dict'].items() if 'num_batches' not in k}},
])
def test_names_that_mmengine_understands_are_no_difference(tmp_path, saved,
                                                           change):
    rewritten(saved, change)

    assert resumed(tmp_path, saved).epoch == 2


def test_average_weights_are_resumed_with_the_check(tmp_path):
    straight, _ = build(tmp_path / 'straight', custom_hooks=[EMAHook()])
    straight.train()
    runner = resumed(tmp_path, tmp_path / 'straight' / 'epoch_1.pth',
                     custom_hooks=[EMAHook()])

    assert equal(weights(straight.model), weights(runner.model))


def test_a_run_without_schedules_is_resumed(tmp_path):
    build(tmp_path, epochs=1, param_scheduler=None)[0].train()
    runner, _ = build(tmp_path, resume=True, param_scheduler=None)
    runner.train()

    assert runner.epoch == 2
