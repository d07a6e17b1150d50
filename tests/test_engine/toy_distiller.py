"""A model that hooks and runners take for a distiller."""
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import Dataset

from tests.helpers.toys import toy_batch, toy_net, toy_streams, with_streams


class ToyLoss:
    streams = ()
    topk = None
    warmup_factor = 1.0


class ToyDistiller(BaseModel):
    """Ten non-target classes and two losses, one without a K."""

    def __init__(self, num_logits=11, dtype=torch.float):
        super().__init__()
        self.net = toy_net(dtype=dtype)
        self.norm = nn.BatchNorm1d(6)
        self.num_logits = num_logits
        self.losses = [ToyLoss(), ToyLoss(), nn.Identity()]
        self.loss_names = ['loss_a', 'loss_b']

    def forward(self, inputs, data_samples=None, mode='loss'):
        if mode == 'predict':
            return list(self.net(self.norm(inputs)))
        return dict(loss=toy_streams(self.net, self.norm(inputs)))

    def parse_losses(self, losses):
        total = with_streams(losses['loss'])
        return total, dict(loss=total.detach())


class ToyData(Dataset):

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return dict(inputs=toy_batch(index, 1, torch.float)[0])


class Recorder(Hook):
    """Keep what the losses of the model are set to in every iteration."""

    priority = 'LOWEST'

    def __init__(self):
        self.topk, self.factors = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        losses = getattr(runner.model, 'module', runner.model).losses
        assert losses[0].topk == losses[1].topk
        assert not hasattr(losses[2], 'topk')
        self.topk.append(losses[0].topk)
        self.factors.append(losses[0].warmup_factor)
