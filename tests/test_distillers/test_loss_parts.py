"""What a total remembers of the losses it is the sum of."""
import torch
from torch import nn

from mmdeepkd.distillers import BaseDistiller


class Summing(BaseDistiller):
    """A distiller without networks: only its sums are looked at."""

    model_scope = 'mmengine'
    num_logits = 5
    plain_checkpoints = True

    def __init__(self, task_weight=1.0):
        nn.Module.__init__(self)
        loss = nn.Identity()
        loss.streams = ('target', 'non_target')
        self.losses = [loss]
        self.task_weight = task_weight

    def loss(self, inputs, data_samples):
        raise NotImplementedError


def numbers(parts):
    return {
        stream: {name: float(value) for name, value in losses.items()}
        for stream, losses in parts.items()
    }


def test_the_total_knows_the_losses_of_every_stream():
    total, _ = Summing(task_weight=0.5).parse_losses({
        's0.loss_cls': torch.tensor(2.),
        'loss_rpn': [torch.tensor(4.), torch.tensor(8.)],
        'acc': torch.tensor(50.),
        'target.loss_dkd': torch.tensor(16.),
        'target.loss_dkd_1': torch.tensor(32.),
        'other.loss': torch.tensor(64.)})

    assert numbers(total.parts) == dict(
        task={'s0.loss_cls': 1., 'loss_rpn': 6., 'other.loss': 32.},
        target={'target.loss_dkd': 16., 'target.loss_dkd_1': 32.})
    assert {name: float(value) for name, value in total.streams.items()} == {
        name: sum(part.values())
        for name, part in numbers(total.parts).items()
    }


def test_a_stream_is_the_text_before_the_first_dot_if_it_is_declared():
    distiller = Summing()

    assert [distiller.stream_of(name) for name in (
        'target.loss_dkd', 'non_target.loss_dkd_s0', 's0.loss_cls', 'loss',
        'distill.loss_kd')] == ['target', 'non_target', 'task', 'task', 'task']
