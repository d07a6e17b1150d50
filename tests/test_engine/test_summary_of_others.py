"""The start-up checks and summary with models and optimizers of any kind."""
import itertools
import re

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel, BaseModule, BaseTTAModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from mmdeepkd.engine import DistillRunner
from mmdeepkd.engine.unwrap import unwrap

from .toy_distiller import ToyData

_names = itertools.count()


class Backbone(BaseModule):
    """Has a tensor that it resizes while loading, as ViT's positions."""

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.linear = nn.Linear(6, 4)
        self.position = nn.Parameter(torch.zeros(2))
        self._register_load_state_dict_pre_hook(self._resize)

    def _resize(self, state, prefix, *_):
        if prefix + 'position' in state:
            state[prefix + 'position'] = state[prefix + 'position'][:2]


class Net(BaseModel):
    """A plain model; its names are also those of a distiller."""

    # As of SoftTeacher, of a model with a record of its losses, ...
    student = 'a name'
    teacher = 'another'

    def __init__(self, init_cfg=None, backbone_init=None):
        super().__init__(init_cfg=init_cfg)
        self.backbone = Backbone(backbone_init)
        self.head = nn.Linear(4, 3)

    def losses(self, inputs):
        return dict(loss=self._forward(inputs).square().mean())

    def _forward(self, inputs):
        return self.head(self.backbone.linear(inputs))

    def forward(self, inputs, mode='loss'):
        if mode == 'loss':
            return self.losses(inputs)
        return list(self._forward(inputs))


class Averaged(BaseTTAModel):

    def merge_preds(self, data_samples_list):
        return [sum(each) for each in data_samples_list]


class TwoOptimizers(Net):

    def train_step(self, data, optim_wrapper):
        losses = self(**self.data_preprocessor(data, True))
        optim_wrapper['head'].update_params(losses['loss'])
        return losses


class Predictions(Hook):

    def after_test_iter(self, runner, batch_idx, data_batch, outputs):
        self.outputs = outputs


def runner_of(model, work_dir, **kwargs):
    loader = dict(
        batch_size=4, num_workers=0, dataset=ToyData(),
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='DefaultSampler', shuffle=False))
    if 'test_dataloader' in kwargs:
        kwargs['test_dataloader'] = dict(loader, **kwargs['test_dataloader'])
    else:
        kwargs.update(train_dataloader=loader,
                      train_cfg=dict(by_epoch=True, max_epochs=1))
        kwargs.setdefault('optim_wrapper', dict(
            optimizer=dict(type='SGD', lr=0.1)))
    return DistillRunner(model=model, work_dir=str(work_dir),
                         experiment_name=f'others_{next(_names)}', **kwargs)


def train(model, work_dir, **kwargs):
    runner_of(model, work_dir, **kwargs).train()
    return next(work_dir.glob('*/*.log')).read_text()


def saved(path, state):
    torch.save(dict(state_dict=state), path)
    return str(path)


def test_test_time_augmentation_loads_a_checkpoint(tmp_path):
    """As mmdet's tools/test.py --tta: its tensors are called module.*."""
    trained = Net()
    path = saved(tmp_path / 'net.pth', trained.state_dict())
    model = Averaged(Net())
    kept = Predictions()
    runner = runner_of(
        model, tmp_path / 'run', load_from=path, custom_hooks=[kept],
        test_dataloader=dict(collate_fn=dict(type='pseudo_collate')),
        test_cfg=dict(), test_evaluator=[])
    # Two views of each image.
    runner.test_loop.dataloader.collate_fn = lambda items: dict(
        inputs=[torch.stack([item['inputs'] for item in items])] * 2)
    runner.test()

    expected = trained(torch.stack(
        [ToyData()[i]['inputs'] for i in range(8, 12)]), mode='predict')
    assert unwrap(runner.model) is model.module
    assert torch.allclose(torch.stack(kept.outputs),
                          2 * torch.stack(expected))


def test_a_plain_model_with_the_names_of_a_distiller(tmp_path):
    log = train(Net(), tmp_path)

    assert re.search(r'^student +Net with Backbone: 45 parameters', log, re.M)
    assert 'could not be made' not in log
    assert not re.search('^(teacher|losses) ', log, re.M)


def test_several_optimizers_are_shown(tmp_path):
    model = TwoOptimizers()
    optimizers = OptimWrapperDict(
        head=OptimWrapper(torch.optim.SGD(model.head.parameters(), lr=0.1)),
        rest=OptimWrapper(torch.optim.AdamW(
            model.backbone.parameters(), lr=0.2), accumulative_counts=2))
    log = train(model, tmp_path, optim_wrapper=optimizers)
    rows = [re.sub(' +', ' ', line) for line in log.splitlines()]

    assert 'optimizer head SGD in OptimWrapper: weight decay 0, no clip_grad' \
        in rows
    assert 'learning rate 0.1 / 0.2' in rows
    assert ('batch 1 process x 4 images x 2 accumulated = 8 per update; the '
            'config names none (auto_scale_lr.base_batch_size)') in rows


def test_a_file_of_neck_and_head_beside_a_pretrained_backbone(tmp_path):
    backbone = saved(tmp_path / 'backbone.pth', Backbone().state_dict())
    head = saved(tmp_path / 'head.pth', {
        key: value for key, value in Net().state_dict().items()
        if 'head' in key})
    init = dict(type='Pretrained', checkpoint=backbone)
    log = train(Net(backbone_init=init), tmp_path / 'run', load_from=head)

    assert (f'WARNING - load_from does not hold the whole model: {head}: 2 of '
            '5 tensors (backbone 0 of 3, head 2); 3 missing') in log
    with pytest.raises(RuntimeError, match='load_from gives the backbone no'):
        train(Net(), tmp_path / 'random', load_from=head)
    # The way out that the message names.
    train(Net(), tmp_path / 'meant', load_from=head,
          default_hooks=dict(start_summary=None))


def test_a_tensor_that_is_resized_is_not_called_lost(tmp_path):
    state = Net().state_dict()
    state['backbone.position'] = torch.tensor([5., 6., 7.])
    path = saved(tmp_path / 'net.pth', state)
    model = Net()
    log = train(model, tmp_path / 'run', load_from=path)

    assert model.backbone.position.tolist() == [5., 6.]
    assert ('1 of another shape (backbone.position: (3,) in the file, (2,) in '
            'the model). The rest keeps the weights it had, save for what a '
            'module resizes while loading (position embeddings).') in log
