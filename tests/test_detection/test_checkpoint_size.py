"""What a checkpoint of distillation holds, in tensors and in bytes."""
import pytest
import torch

from mmdeepkd.engine import DistillRunner
from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import distiller_config, write_teacher
from tests.helpers.training import run_training

# Wide enough that the weights are most of the file.
WIDTH = 16
# No tensor of the student has a side of this length.
TEACHER_WIDTH = 11
# What else a file may need: for each tensor its name and alignment, in all the
# log, the config and the random states.
RECORD, REST = 600, 100_000

HOOKS = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False))


def tensors(value):
    """Yield every tensor in nested containers."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)


def saved(model, wrapper, folder, **kwargs):
    sgd = dict(type='SGD', lr=0.01, momentum=0.9)
    run_training(model, dict(wrapper, optimizer=sgd), folder, iterations=1,
                 runner_class=DistillRunner, default_hooks=HOOKS, **kwargs)
    return folder / 'iter_1.pth'


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    """The checkpoint of the student trained alone."""
    return saved(faster_rcnn(width=WIDTH), dict(type='OptimWrapper'),
                 tmp_path_factory.mktemp('plain'))


def trained_bytes(file):
    """The size of the parameters that momentum buffers are kept for."""
    state = torch.load(file, weights_only=True)['optimizer']['state']
    return sum(s['momentum_buffer'].nbytes for s in state.values()), len(state)


@pytest.mark.parametrize('wrapper, buffers', [
    # Task and non-target streams share a momentum.
    (dict(delta=0.05), 2),
    (dict(delta=0.05, merge=False), 3),
    (dict(delta=0.), 1),
    (dict(offsets=dict(task=0.05, target=-0.05, non_target=0.02)), 3),
])
def test_a_checkpoint_is_the_students_and_its_momenta(tmp_path, plain, wrapper,
                                                      buffers):
    teacher = faster_rcnn(width=TEACHER_WIDTH)
    model = distiller_config(faster_rcnn(width=WIDTH), teacher,
                             write_teacher(teacher, tmp_path / 'teacher.pth'))
    file = saved(model, dict(type='mmdeepkd.DeepKDOptimWrapper', **wrapper),
                 tmp_path)
    content = torch.load(file, weights_only=True)
    alone = torch.load(plain, weights_only=True)
    extra, count = trained_bytes(plain)

    assert content['state_dict'].keys() == alone['state_dict'].keys()
    assert not [t for t in tensors(content) if TEACHER_WIDTH in t.shape]
    assert file.stat().st_size <= plain.stat().st_size + (buffers - 1) * (
        extra + count * RECORD) + REST
    # Tight enough that one more buffer would not fit.
    assert extra > (buffers - 1) * count * RECORD + REST


def test_average_weights_add_one_student(tmp_path, plain):
    teacher = faster_rcnn(width=TEACHER_WIDTH)
    model = distiller_config(faster_rcnn(width=WIDTH), teacher,
                             write_teacher(teacher, tmp_path / 'teacher.pth'))
    file = saved(model, dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.),
                 tmp_path, custom_hooks=[dict(type='EMAHook')])
    content = torch.load(file, weights_only=True)
    state = content['state_dict'].values()

    assert not [t for t in tensors(content) if TEACHER_WIDTH in t.shape]
    assert file.stat().st_size <= plain.stat().st_size + sum(
        t.nbytes + RECORD for t in state) + REST
