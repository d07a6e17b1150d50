"""The losses of the two streams take the few passes, not the masks."""
import pytest
import torch

from mmdeepkd.losses import DeepKDLoss, DKDLoss


@pytest.mark.parametrize(('loss', 'expected'), [
    (DKDLoss(), [(64, 20), (64, 20)]),
    (DeepKDLoss(), [(64, 20), (64, 20)]),
    (DeepKDLoss(base='dkd', topk=30), [(64, 20), (64, 20)]),
    (DeepKDLoss(topk=5), [(64, 5), (64, 5), (64, 20)]),
    (DeepKDLoss(semantics='released'), [(64, 20), (64, 20)]),
],
                         ids=str)
def test_a_direction_is_kept_for_each_backward(loss, expected):
    student, teacher = torch.randn(2, 64, 20)
    student.requires_grad_()
    kept = {}

    def keep(tensor):
        if tensor.dim() == 2:
            kept[tensor.data_ptr()] = tuple(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        loss(student, teacher, torch.randint(20, (64, )))

    assert sorted(kept.values()) == expected
