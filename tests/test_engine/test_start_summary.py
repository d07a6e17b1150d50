"""The block that a run prints when it starts, and files that load nothing."""
import re
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdeepkd.engine import (
    DecoupledSGD,
    DistillRunner,
    StartSummaryHook,
    WarmupHook,
)
from mmdeepkd.engine.summary import batch_rows, batch_warning, stream_rows
from mmdeepkd.losses import KDLoss
from tests.helpers.classifier_runs import train_classifier
from tests.helpers.classifiers import (
    build_classifier,
    distiller_config,
    resnet,
    write_teacher,
)
from tests.helpers.processes import free_port, run_command

SGD = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4)
PLAIN = dict(type='OptimWrapper', optimizer=SGD)
DEEPKD = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05, optimizer=SGD)


def train(model, work_dir, wrapper=PLAIN, **kwargs):
    """Train one iteration; return (runner, log)."""
    kwargs.setdefault('iterations', 1)
    kwargs.setdefault('runner_class', DistillRunner)
    runner, _ = train_classifier(model, wrapper, work_dir, log_level='INFO',
                                 cfg=dict(model=model), **kwargs)
    return runner, read_log(work_dir)


def read_log(work_dir):
    return sorted(work_dir.glob('*/*.log'))[-1].read_text()


def row(log, label):
    """Return the text of a row of the block."""
    return re.search(rf'^ *{re.escape(label)}  +(.*)$', log, re.M).group(1)


@pytest.fixture
def teacher(tmp_path):
    return write_teacher(resnet(width=6), tmp_path / 'teacher.pth')


def deepkd(teacher, student=None, **kwargs):
    return distiller_config(student or resnet(), resnet(width=6), teacher,
                            **kwargs)


def test_every_setting_of_a_run_is_printed_once(teacher, tmp_path):
    """Accumulation, EMA, half precision, schedules, two losses, warm-up."""
    _, log = train(
        deepkd(teacher, task_weight=0.5, losses=[
            dict(type='mmdeepkd.DeepKDLoss', alpha=2.0),
            dict(type='mmdeepkd.KDLoss', loss_weight=0.25)]),
        tmp_path / 'run',
        dict(DEEPKD, type='mmdeepkd.AmpDeepKDOptimWrapper', merge=False,
             dtype='bfloat16', accumulative_counts=2,
             clip_grad=dict(max_norm=5), nonfinite='skip'),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        auto_scale_lr=dict(base_batch_size=4),
        custom_hooks=[
            dict(type='mmdeepkd.DynamicTopKHook'),
            dict(type='mmdeepkd.WarmupHook', epochs=2),
            dict(type='EMAHook', momentum=0.01)
        ])

    assert log.count('This run, as its config was resolved') == 1
    block = log[log.index('student    '):].split('\n20')[0].splitlines()
    assert [re.sub(r' +', ' ', line) for line in block] == [
        'student ImageClassifier with ResNet: 44,937 parameters, all trained',
        'teacher ImageClassifier with ResNet: 100,091 parameters, frozen',
        'distiller ClassifierDistiller',
        'weights',
        f' teacher {teacher}: all 102 tensors (backbone 100, head 2)',
        ' student its random initialisation, no file',
        "losses DeepKDLoss(base='kd', alpha=2.0, beta=1.0, temperature=4.0, "
        "topk=None, standardize=False, semantics='paper')",
        ' KDLoss(temperature=4.0, loss_weight=0.25, standardize=False)',
        'streams stream momentum backward losses',
        " task 0.95 1 the student's own x 0.5",
        ' target 0.85 2 target.loss_deepkd',
        ' non_target 0.95 3 non_target.loss_deepkd',
        ' distill 0.95 4 distill.loss_kd',
        ' 4 backwards per iteration',
        'DynamicTopKHook K from 1 to 2 (our default) at 30 % of the epochs, '
        '2 until 70 %, then up to all 4 non-target classes',
        'WarmupHook distillation losses x min((epoch + 1) / 2, 1), counted '
        'from 0',
        'optimizer DecoupledSGD in AmpDeepKDOptimWrapper: weight decay '
        '0.0001, semantics paper, merge False, clip_grad max_norm=5, '
        'nonfinite skip',
        'precision autocast to bfloat16, no loss scaling',
        'EMA ExponentialMovingAverage, momentum 0.01',
        'length 2 epochs x 5 iterations',
        "batch 1 process x 2 images x 2 accumulated = 4 per update; the "
        "recipe's is 4; auto_scale_lr is off",
        'learning rate 0.02',
    ]


def test_the_versions_and_the_path_are_printed(teacher, tmp_path):
    import mmdeepkd
    _, log = train(deepkd(teacher), tmp_path / 'run', DEEPKD)

    assert row(log, 'versions').startswith(
        f'mmdeepkd {mmdeepkd.__version__}, torch {torch.__version__}, '
        'mmengine ')
    assert row(log, 'package') == mmdeepkd.__path__[0]
    assert row(log, 'length') == '1 iterations'


@pytest.mark.parametrize('wrapper, expected', [
    (PLAIN, ["task 0.9 1 the student's own x 1",
             '1 backward per iteration']),
    (DEEPKD, ["plain 0.9 1 the student's own x 1",
              '1 backward per iteration']),
])
def test_a_plain_student_prints_what_applies(wrapper, expected, tmp_path):
    _, log = train(resnet(), tmp_path, wrapper)
    lines = [re.sub(r' +', ' ', line).strip() for line in log.splitlines()]

    assert set(expected) <= set(lines)
    assert 'teacher  ' not in log and 'losses  ' not in log
    assert ('the config names none (auto_scale_lr.base_batch_size)'
            in row(log, 'batch'))


def test_an_undecoupled_distillation_has_one_backward(teacher, tmp_path):
    _, log = train(deepkd(teacher), tmp_path / 'run', PLAIN)

    assert row(log, 'target') == '0.9       1         target.loss_deepkd'
    assert '1 backward per iteration' in log


def test_it_works_under_mmengines_runner(teacher, tmp_path):
    _, log = train(deepkd(teacher), tmp_path / 'run', DEEPKD,
                   runner_class=Runner, custom_hooks=[
                       dict(type='mmdeepkd.StartSummaryHook')])

    assert row(log, 'non_target').startswith('0.95      1')


def stream_lines(offsets, *hooks):
    """Rows of a KD run over two parameter groups."""
    groups = [dict(params=[torch.zeros(1, requires_grad=True)], momentum=m)
              for m in (0.9, 0.8)]
    wrapper = SimpleNamespace(
        optimizer=DecoupledSGD(groups, lr=0.1, offsets=offsets))
    rows = stream_rows(
        SimpleNamespace(optim_wrapper=wrapper, hooks=hooks),
        SimpleNamespace(losses=[KDLoss()], loss_names=['loss_kd']))
    return [re.sub(r' +', ' ', text) for _, text in rows[2:]]


def test_momenta_that_differ_between_groups():
    assert stream_lines(dict(task=0.05, distill=-0.05)) == [
        "task 0.95 / 0.85 1 the student's own x 1",
        'distill 0.85 / 0.75 2 distill.loss_kd', '2 backwards per iteration']


def test_a_stream_without_a_momentum_is_shown_as_such():
    assert stream_lines(dict(task=0.05)) == [
        "task 0.95 / 0.85 1 the student's own x 1",
        'distill - - distill.loss_kd', '1 backward per iteration']


def test_hooks_of_any_kind_describe_themselves():
    lines = stream_lines(dict(task=0.), WarmupHook(iters=50),
                         # A method of that name is anybody's.
                         SimpleNamespace(describe=lambda: 'not a row'),
                         SimpleNamespace(summary_row=lambda runner: 'my own'))

    assert lines[-2:] == ['distillation losses x min(iteration / 50, 1), '
                          'counted from 0', 'my own']


def batch_runner(batch=2, world_size=1, accumulated=1, recipe=8, enable=False,
                 lr=0.1):
    scale = None if recipe is None else dict(
        base_batch_size=recipe, enable=enable)
    loader = SimpleNamespace(
        batch_size=None, batch_sampler=SimpleNamespace(batch_size=batch))
    return SimpleNamespace(
        world_size=world_size, train_dataloader=loader, auto_scale_lr=scale,
        optim_wrapper=SimpleNamespace(
            _accumulative_counts=accumulated,
            param_groups=[dict(lr=0.001, initial_lr=lr)]))


@pytest.mark.parametrize('settings', [
    dict(batch=8), dict(batch=2, world_size=4),
    dict(batch=2, world_size=2, accumulated=2), dict(recipe=None),
    dict(batch=32, enable=True)
])
def test_a_batch_that_fits_the_learning_rate(settings):
    assert batch_warning(batch_runner(**settings)) is None


@pytest.mark.parametrize('settings, warning', [
    (dict(batch=2),
     'the learning rate 0.1 is for a batch of 8 '
     '(auto_scale_lr.base_batch_size), and this run has 2: train with '
     '--auto-scale-lr, which makes it 0.025, or change the batch.'),
    (dict(batch=2, world_size=8), 'and this run has 16: train with '
     '--auto-scale-lr, which makes it 0.2, or'),
    (dict(batch=8, accumulated=2), 'and this run has 16: set the learning '
     'rate that the linear rule gives, 0.2, or'),
    (dict(batch=2, accumulated=4, enable=True),
     'auto_scale_lr does not count accumulation: the learning rate 0.1 is '
     'for a batch of 2, and 4 accumulated iterations make 8; turn '
     'auto_scale_lr off and set the learning rate that the linear rule '
     'gives, 0.4.'),
])
def test_a_batch_that_is_not_the_recipes_is_warned_of(settings, warning):
    assert warning in batch_warning(batch_runner(**settings))


def test_the_effective_batch_counts_everything():
    rows = dict(batch_rows(batch_runner(2, 4, 3)))

    assert rows['batch'] == (
        "4 processes x 2 images x 3 accumulated = 24 per update; the "
        "recipe's is 8; auto_scale_lr is off")
    assert rows['learning rate'] == '0.1'


@pytest.mark.parametrize('batch, shown', [
    ([2, 4], '1 process x 2 / 4 images = 2 / 4 per update'),
    ((), '1 process x ? images = ? per update')])
def test_a_sampler_whose_batches_have_no_one_size(batch, shown):
    """mmdet's MultiDataAspectRatioBatchSampler: one for each dataset."""
    runner = batch_runner(batch)

    assert dict(batch_rows(runner))['batch'].startswith(shown)
    assert batch_warning(runner) is None


def test_a_summary_that_fails_is_one_warning(tmp_path):
    class Failing(Hook):

        def summary_row(self, runner):
            raise KeyError('mine')

    _, log = train(resnet(), tmp_path, custom_hooks=[Failing()])

    assert ("WARNING - The summary of this run could not be made (KeyError: "
            "'mine'); training goes on.") in log
    assert 'This run, as its config' not in log


def test_mmengines_scaling_leaves_accumulation_out(tmp_path):
    """What the warning says of MMEngine is what MMEngine does."""
    runner, log = train(
        resnet(), tmp_path, dict(PLAIN, accumulative_counts=4), iterations=4,
        auto_scale_lr=dict(base_batch_size=8, enable=True))

    assert runner.optim_wrapper.get_lr()['lr'] == [0.02 * 2 / 8]
    assert 'WARNING - auto_scale_lr does not count accumulation' in log


def saved(path, state):
    torch.save(dict(state_dict=state, meta={}), path)
    return str(path)


def student_state(**kwargs):
    model = build_classifier(resnet(**kwargs))
    model.init_weights()
    return model.state_dict()


@pytest.mark.parametrize('distil', [True, False])
@pytest.mark.parametrize('state, message', [
    (dict(prefix='student.'),
     "backbone.conv1.weight: remove 'student.' from its names"),
    (dict(prefix='architecture.'), "remove 'architecture.' from its names"),
    (dict(width=6), r'backbone.conv1.weight: \(6, 3, 7, 7\) in the file'),
])
def test_load_from_that_matches_nothing_stops(state, message, distil, teacher,
                                              tmp_path):
    state = dict(state)
    prefix = state.pop('prefix', '')
    path = saved(tmp_path / 'file.pth', {
        prefix + key: value for key, value in student_state(**state).items()
        if state or not key.startswith('head')
    })
    with pytest.raises(RuntimeError, match=(
            'load_from (finds nothing to load: none of|gives the backbone '
            f'nothing: none of its) .* {path}.*'
            f'{message}')):
        train(deepkd(teacher) if distil else resnet(), tmp_path / 'run',
              load_from=path)


def test_a_head_of_other_classes_is_listed(teacher, tmp_path):
    path = saved(tmp_path / 'file.pth', student_state(num_classes=7))
    _, log = train(deepkd(teacher), tmp_path / 'run', load_from=path)
    shapes = ('2 of another shape (head.fc.weight: (7, 32) in the file, '
              '(5, 32) in the model, head.fc.bias')

    assert row(log, 'load_from').startswith(
        f'{path}: 100 of 102 tensors (backbone 100, head 0 of 2); {shapes}')
    assert ('WARNING - load_from does not hold the whole model: '
            f'{path}: 100 of 102') in log


@pytest.mark.parametrize('extra', [{}, {'distill.adapter.weight': None}])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_files_that_fit_load_wholly(extra, prefix, teacher, tmp_path):
    """Of a wrapped model, and of a distiller with adapters."""
    state = student_state()
    file = {prefix + k: v for k, v in state.items()}
    file.update(dict.fromkeys(extra, torch.zeros(1)))
    path = saved(tmp_path / 'file.pth', file)
    _, log = train(deepkd(teacher), tmp_path / 'run', load_from=path)

    assert row(log, 'load_from').startswith(
        f'{path}: all 102 tensors (backbone 100, head 2)')
    assert 'its random initialisation' not in log


def test_the_averaged_weights_of_a_file_are_loaded_and_counted(teacher,
                                                               tmp_path):
    """MMEngine saves them as state_dict, the raw ones as ema_state_dict."""
    ema = dict(type='EMAHook', momentum=0.5)
    train(resnet(), tmp_path / 'first', custom_hooks=[ema],
          train_cfg=dict(by_epoch=True, max_epochs=1))
    file = tmp_path / 'first' / 'epoch_1.pth'
    runner, log = train(deepkd(teacher), tmp_path / 'run', iterations=0,
                        load_from=str(file), custom_hooks=[ema])
    averaged = torch.load(file, weights_only=True)['state_dict']

    assert row(log, 'load_from').startswith(f'{file}: all 102 tensors')
    assert all(torch.equal(value, averaged[key])
               for key, value in runner.model.state_dict().items())


def pretrained(path):
    student = resnet()
    student['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=path)
    return student


@pytest.mark.parametrize('distil', [True, False])
def test_a_pretrained_backbone_is_counted_or_refused(distil, teacher,
                                                     tmp_path):
    state = {key[len('backbone.'):]: value
             for key, value in student_state().items() if 'backbone' in key}
    good = saved(tmp_path / 'good.pth', dict(state, fc=torch.zeros(1)))
    bad = saved(tmp_path / 'bad.pth', {f'net.{k}': state[k] for k in state})

    def run(path, name):
        student = pretrained(path)
        return train(deepkd(teacher, student) if distil else student,
                     tmp_path / name)[1]

    assert row(run(good, 'good'), 'init_cfg of backbone') == (
        f'{good}: all 100 tensors (backbone 100); 1 unexpected (backbone.fc)')
    with pytest.raises(RuntimeError, match=(
            'init_cfg of backbone finds nothing to load: none of the 100 .*'
            r"net\.conv1\.weight where the model has conv1\.weight: set "
            r"prefix='net\.' in it")):
        run(bad, 'bad')


def test_the_watch_is_over_when_training_starts(teacher, tmp_path):
    runner, _ = train(deepkd(teacher), tmp_path / 'run')

    assert not any(module._load_state_dict_pre_hooks
                   for module in runner.model.backbone.modules())


def test_a_faster_teacher_and_student_are_told(teacher, tmp_path):
    _, log = train(
        deepkd(teacher, teacher_speedup=dict(amp='bf16'), channels_last=True),
        tmp_path / 'run', iterations=1)

    assert row(log, 'teacher_speedup') == (
        'channels_last, fold_bn, autocast to bf16, not compiled')
    assert row(log, 'distiller') == (
        'ClassifierDistiller with channels_last=True')
    assert re.search(r'teacher_speedup: backbone: (\d+) of \1 BatchNorms '
                     r'folded, channels_last, amp bf16; largest', log)


def test_inherited_and_resumed_tensors_are_counted(tmp_path):
    teacher = write_teacher(resnet(), tmp_path / 'teacher.pth')
    model = distiller_config(resnet(), resnet(), teacher,
                             student_init=dict(inherit=['head']))
    epochs = dict(by_epoch=True, max_epochs=1)
    _, log = train(model, tmp_path / 'run', DEEPKD, train_cfg=epochs)
    runner, resumed = train(model, tmp_path / 'run', DEEPKD, resume=True,
                            train_cfg=dict(epochs, max_epochs=2))

    assert row(log, 'student_init') == 'the teacher: all 2 tensors (head 2)'
    assert row(log, 'distiller') == (
        "ClassifierDistiller with student_init={'inherit': ['head']}")
    assert ': all 102 tensors (backbone 100, head 2)' in row(resumed, 'resume')
    assert row(resumed, 'length') == (
        '2 epochs x 5 iterations, resumed after epoch 1')


def test_nothing_is_done_in_an_iteration():
    for name in ('before_train_epoch', 'before_train_iter',
                 'after_train_iter', 'after_train_epoch'):
        assert getattr(StartSummaryHook, name) is getattr(Hook, name)


TWO_RANKS = """
import sys
from mmengine.hooks import EMAHook
from tests.test_engine.test_runner import build

runner, _ = build(sys.argv[1], launcher='pytorch', env_cfg=dict(),
                  epochs=1, custom_hooks=[EMAHook()])
runner.logger.setLevel('INFO')
for handler in runner.logger.handlers:
    handler.setLevel('INFO')
runner.train()
"""


def test_of_two_processes_one_prints(tmp_path):
    """With an averaged model."""
    script = tmp_path / 'two_ranks.py'
    script.write_text(TWO_RANKS)
    result = run_command(
        sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2',
        f'--master_port={free_port()}', script, tmp_path / 'run')

    assert result.returncode == 0, result.stderr[-2000:]
    output = result.stdout + result.stderr
    assert output.count('This run, as its config was resolved') == 1
    assert '2 processes x 4 images = 8 per update' in output
    assert row(output, 'EMA') == (
        'ExponentialMovingAverage, momentum 0.0002')
