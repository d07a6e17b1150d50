"""Adapters of feature losses when a run starts: trained, counted, loaded."""
import copy
import re

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import (
    DefaultOptimWrapperConstructor,
    OptimWrapper,
    OptimWrapperDict,
    build_optim_wrapper,
)
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import nn
from torch.optim import SGD

from mmdeepkd.engine import AdapterCheckHook, DistillRunner
from mmdeepkd.engine.adapters import adapter_parameters, student_indices
from mmdeepkd.engine.unwrap import unwrap
from tests.helpers.classifier_runs import train_classifier
from tests.helpers.classifiers import (
    distiller_config,
    make_distiller,
    resnet,
    write_teacher,
)

DIFFKD = dict(type='mmdeepkd.DiffKDLoss')
BOTH = [DIFFKD, dict(type='mmdeepkd.DiffKDLogitsLoss')]
WRAPPER = dict(optimizer=dict(
    type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4))


class StudentOnly(DefaultOptimWrapperConstructor):
    """Knows the parts of the student by name."""

    def add_params(self, params, module, prefix='', is_dcn_module=None):
        if not prefix.startswith('distill'):
            super().add_params(params, module, prefix, is_dcn_module)


# Without a setting MMEngine's constructor takes the parameters of all.
STUDENT_ONLY = dict(
    constructor=StudentOnly, paramwise_cfg=dict(norm_decay_mult=0.))


@pytest.fixture(scope='module')
def distiller(tmp_path_factory):
    return make_distiller(tmp_path_factory.mktemp('teacher'), resnet(),
                          resnet(width=6), losses=BOTH)


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return write_teacher(resnet(width=6), tmp_path_factory.mktemp(
        'teacher') / 'teacher.pth')


def model(teacher, **kwargs):
    kwargs.setdefault('losses', DIFFKD)
    return distiller_config(resnet(), resnet(width=6), teacher, **kwargs)


def check(distiller, wrapper):
    """Ask the hook as a run does that is about to begin."""
    runner = Runner.__new__(Runner)
    runner.model, runner.optim_wrapper = distiller, wrapper
    AdapterCheckHook().before_train(runner)


def built(distiller, **kwargs):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return build_optim_wrapper(
            distiller, ConfigDict(copy.deepcopy(dict(WRAPPER, **kwargs))))


def groups_of(wrapper):
    """How many groups each parameter is in, and their settings."""
    found = {}
    for group in wrapper.param_groups:
        for param in group['params']:
            found.setdefault(id(param), []).append(group)
    return found


def test_adapters_are_told_from_the_student(distiller):
    adapters = adapter_parameters(distiller)
    params = list(distiller.parameters())
    own = [params[i] for i in student_indices(distiller, params)]

    assert len(adapters) > 20
    assert all(name.startswith('distill.diffkd') for name in adapters)
    assert [id(p) for p in own] == [
        id(p) for p in distiller.student.parameters()]
    assert len(own) + len(adapters) == len(params)


def test_another_model_may_call_its_parts_so():
    other = nn.ModuleDict(dict(distill=nn.Linear(1, 1)))

    assert adapter_parameters(other) == {}
    assert student_indices(other, list(other.parameters())) == [0, 1]


OPTIMIZERS = {
    'plain': dict(),
    'streams': dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05),
    'own momentum': dict(
        type='mmdeepkd.DeepKDOptimWrapper',
        offsets=dict(task=0.05, feature=0.)),
    'half precision': dict(
        type='mmdeepkd.AmpDeepKDOptimWrapper', delta=0.05, dtype='bfloat16'),
    'paramwise': dict(paramwise_cfg=dict(
        norm_decay_mult=0., custom_keys=dict(distill=dict(lr_mult=0.1)))),
}


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_every_optimizer_has_each_adapter_once(name, distiller):
    wrapper = built(distiller, **OPTIMIZERS[name])
    check(distiller, wrapper)
    found = groups_of(wrapper)

    assert all(len(found[id(param)]) == 1 for param in distiller.parameters())


def test_of_a_decay_over_layers_adapters_are_the_last(tmp_path):
    """mmpretrain's, for backbones that tell the depth of a layer."""
    student = resnet()
    student['backbone'] = dict(
        type='mmpretrain.ConvNeXt', gap_before_final_norm=False,
        arch=dict(depths=[1, 1, 1, 1], channels=[4, 8, 16, 32]))
    model = make_distiller(tmp_path, student, resnet(width=6), losses=BOTH)
    wrapper = built(
        model, optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
        constructor='LearningRateDecayOptimWrapperConstructor',
        paramwise_cfg=dict(layer_decay_rate=0.5, flat_decay_mult=0.))
    check(model, wrapper)
    found = groups_of(wrapper)

    assert {group['lr'] for name in adapter_parameters(model)
            for group in found[id(model.get_parameter(name))]} == {1e-3}
    assert found[id(model.head.fc.weight)][0]['lr'] == 1e-3
    assert found[id(next(model.backbone.parameters()))][0]['lr'] < 1e-3


def test_the_learning_rate_of_adapters_is_set_by_their_name(distiller):
    found = groups_of(built(distiller, **OPTIMIZERS['paramwise']))
    adapters = adapter_parameters(distiller)
    for name, param in distiller.named_parameters():
        rate = 0.002 if name in adapters else 0.02
        assert found[id(param)][0]['lr'] == pytest.approx(rate), name


def test_adapters_without_an_optimizer_are_named(distiller):
    wrapper = built(distiller, **STUDENT_ONLY)
    count = len(adapter_parameters(distiller))
    with pytest.raises(RuntimeError, match=(
            rf'^{count} trainable tensors \(distill\.diffkd\.map\..*, \.\.\.'
            r'\) of the adapters are in no parameter group of the optimizer')):
        check(distiller, wrapper)


def test_a_single_tensor_is_noticed(distiller):
    name, left_out = list(adapter_parameters(distiller).items())[3]
    wrapper = OptimWrapper(SGD(
        [p for p in distiller.parameters() if p is not left_out], lr=0.1))
    with pytest.raises(RuntimeError, match=(
            rf'^1 trainable tensors \({re.escape(name)}\) of the adapters')):
        check(distiller, wrapper)
    left_out.requires_grad_(False)
    check(distiller, wrapper)
    left_out.requires_grad_(True)


def test_one_optimizer_for_each_part(distiller):
    def wrappers(*parts):
        return OptimWrapperDict(**{
            f'optimizer{i}': OptimWrapper(SGD(part, lr=0.1))
            for i, part in enumerate(parts)})

    student = list(distiller.student.parameters())
    adapters = list(distiller.distill.parameters())
    check(distiller, wrappers(student, adapters))
    with pytest.raises(RuntimeError, match='are in no parameter group'):
        check(distiller, wrappers(student[:5], student[5:]))
    with pytest.raises(RuntimeError, match=(
            rf'^{len(adapters)} trainable tensors \(distill\..* are in '
            'several parameter groups of the optimizers')):
        check(distiller, wrappers([*student, *adapters], adapters))


def train(model, work_dir, wrapper=WRAPPER, **kwargs):
    """Train one iteration; return (runner, log)."""
    runner, _ = train_classifier(
        model, wrapper, work_dir, log_level='INFO', cfg=dict(model=model),
        **{'iterations': 1, 'runner_class': DistillRunner, **kwargs})
    return runner, sorted(work_dir.glob('*/*.log'))[-1].read_text()


def test_a_run_stops_before_its_first_iteration(teacher, tmp_path):
    wrapper = dict(WRAPPER, **STUDENT_ONLY)
    with pytest.raises(RuntimeError, match='adapters are in no parameter gr'):
        train(model(teacher), tmp_path / 'run', wrapper)
    left_out, _ = train(model(teacher), tmp_path / 'other', wrapper,
                        default_hooks=dict(adapter_check=None))

    assert left_out.iter == 1


def test_the_summary_says_what_adapters_there_are(teacher, tmp_path):
    runner, log = train(model(teacher, losses=[
        dict(type='mmdeepkd.KDLoss'), *BOTH]), tmp_path / 'run', dict(
            WRAPPER, type='mmdeepkd.DeepKDOptimWrapper', delta=0.05))
    counts = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in unwrap(runner.model).distill.items()}
    lines = [re.sub(' +', ' ', line).strip() for line in log.splitlines()]

    assert ('student ImageClassifier with ResNet: 44,937 parameters, all '
            'trained') in lines
    for name, place in (('adapters diffkd', 'map'),
                        ('diffkd_logits', 'logits')):
        assert (f'{name} at {place}: {counts[name.split()[-1]]:,} '
                'parameters, all trained') in lines
    assert ('in training alone: no prediction runs them, and '
            'tools/export_student.py leaves them out') in lines
    assert ('feature 0.95 1 feature.loss_diffkd, feature.loss_diffkd_logits'
            ) in lines
    assert '1 backward per iteration' in lines


def test_without_adapters_nothing_is_said_of_them(teacher, tmp_path):
    _, log = train(model(teacher, losses=dict(type='mmdeepkd.KDLoss')),
                   tmp_path / 'run')

    assert '\nadapters ' not in log and 'export_student.py' not in log


def epochs(count):
    return dict(train_cfg=dict(by_epoch=True, max_epochs=count))


@pytest.fixture(scope='module')
def files(teacher, tmp_path_factory):
    """Checkpoints of a run with DiffKD and of one without."""
    folder, found = tmp_path_factory.mktemp('files'), {}
    for name, losses in (('with', DIFFKD),
                         ('without', dict(type='mmdeepkd.KDLoss'))):
        train(model(teacher, losses=losses), folder / name, **epochs(1))
        found[name] = str(folder / name / 'epoch_1.pth')
    return found


def test_a_student_is_loaded_and_its_adapters_begin(teacher, files, tmp_path):
    runner, log = train(model(teacher), tmp_path / 'run', iterations=0,
                        load_from=files['without'])
    said = re.search('INFO - load_from holds the student and no adapter.*',
                     log).group()
    state = torch.load(files['without'], weights_only=True)['state_dict']
    count = len([key for key in unwrap(runner.model).state_dict()
                 if key.startswith('distill.')
                 and not key.endswith('num_batches_tracked')])

    assert f'distill 0 of {count})' in said
    assert f'{count} missing (distill.diffkd.map.' in said
    assert 'does not hold the whole model' not in log
    assert all(torch.equal(unwrap(runner.model).state_dict()[key], value)
               for key, value in state.items())


def test_adapters_are_loaded_with_the_student(teacher, files, tmp_path):
    runner, log = train(model(teacher), tmp_path / 'run', iterations=0,
                        load_from=files['with'])
    state = torch.load(files['with'], weights_only=True)['state_dict']

    assert 'load_from holds' not in log and ' missing (' not in log
    assert all(torch.equal(unwrap(runner.model).state_dict()[key], value)
               for key, value in state.items())


def test_a_run_without_adapters_tells_of_those_in_a_file(teacher, files,
                                                         tmp_path):
    _, log = train(model(teacher, losses=dict(type='mmdeepkd.KDLoss')),
                   tmp_path / 'run', iterations=0, load_from=files['with'])

    assert 'all 102 tensors (backbone 100, head 2); ' in log
    assert re.search(r'\d+ unexpected \(distill\.diffkd\.map\.', log)


def test_a_file_of_other_adapters_is_warned_of(teacher, files, tmp_path):
    _, log = train(model(teacher, losses=dict(DIFFKD, channels=None)),
                   tmp_path / 'run', iterations=0, load_from=files['with'])

    assert 'WARNING - load_from does not hold the whole model: ' in log


@pytest.mark.parametrize('ema', [[], [dict(type='EMAHook')]],
                         ids=['plain', 'EMA'])
@pytest.mark.parametrize('losses, file, said', [
    (DIFFKD, 'without', 'missing'),
    (dict(type='mmdeepkd.KDLoss'), 'with', 'not in it'),
], ids=['more', 'less'])
def test_a_run_is_not_resumed_with_other_adapters(
        losses, file, said, ema, teacher, files, tmp_path):
    with pytest.raises(RuntimeError, match=(
            rf'epoch_1.pth cannot be resumed from, it is of another model: '
            rf'\d+ {said} \(distill\.diffkd\.map\..*; resume with the')):
        train(model(teacher, losses=losses), tmp_path / 'run', resume=True,
              load_from=files[file], custom_hooks=ema, **epochs(2))
