"""Two gloo processes with two views give what one gives on both halves."""
from tests.helpers.classifiers import resnet, write_teacher
from tests.helpers.gloo import run_ranks
from tests.helpers.training import equal_tensors

from .two_ranks import build, train_alone, train_rank


def difference(one, other):
    assert one.keys() == other.keys()
    return max(float((one[k].double() - other[k].double()).abs().max())
               for k in one)


def test_two_ranks_equal_one_process(tmp_path):
    checkpoint = write_teacher(resnet(), tmp_path / 'teacher.pth')
    first, second = run_ranks(train_rank, checkpoint)
    alone = train_alone(checkpoint)
    start = build(checkpoint)[0].state_dict()

    assert equal_tensors(first, second)
    assert difference(first, alone) < 1e-5
    assert difference(alone, start) > 1e-3
