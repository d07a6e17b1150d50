"""Training checkpoints of plain MMEngine load and resume.

The files in tests/data/mmengine_files were written after two of three epochs,
of two iterations each, by MMEngine 0.10.7 without this package: numpy1.pth by
torch 2.1.2 and numpy 1.26, numpy2.pth by torch 2.12.1 and numpy 2.
"""
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

import mmdeepkd.checkpoints  # noqa: F401

FOLDER = Path(__file__).parents[1] / 'data' / 'mmengine_files'
FILES = pytest.mark.parametrize('name, core', [
    ('numpy1', b'numpy.core'), ('numpy2', b'numpy._core')])


class Net(BaseModel):

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(2, 2)

    def forward(self, inputs, mode):
        return dict(loss=self.fc(torch.stack(list(inputs))).square().mean())


@FILES
def test_the_files_are_what_they_are_called(name, core):
    with zipfile.ZipFile(FOLDER / f'{name}.pth') as archive:
        pickled = archive.read(next(
            n for n in archive.namelist() if n.endswith('data.pkl')))

    assert core + b'.multiarray\nscalar' in pickled
    assert b'getattr' in pickled and b'HistoryBuffer' in pickled


@FILES
def test_everything_in_the_file_is_there(name, core):
    loaded = CheckpointLoader.load_checkpoint(str(FOLDER / f'{name}.pth'))
    history = loaded['message_hub']['log_scalars']['train/loss']

    assert type(history) is HistoryBuffer and len(history.data[0]) == 4
    assert history.statistics('mean', 4) == pytest.approx(
        np.mean(history.data[0]))
    score = loaded['message_hub']['runtime_info']['best_score']
    assert type(score) is np.float32 and score == 0.5
    assert loaded['param_schedulers'][0]['milestones'] == Counter([1, 2])
    assert loaded['optimizer']['state'][0]['momentum_buffer'].shape == (2, 2)


@FILES
def test_a_run_resumes_from_it(tmp_path, name, core):
    path = str(FOLDER / f'{name}.pth')
    runner = Runner(
        model=Net(),
        work_dir=str(tmp_path),
        train_dataloader=dict(
            dataset=[dict(inputs=torch.ones(2))] * 4,
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_size=2,
            collate_fn=dict(type='pseudo_collate')),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=dict(type='MultiStepLR', milestones=[1, 2]),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        default_hooks=dict(checkpoint=None),
        load_from=path,
        resume=True,
        log_level='ERROR',
        experiment_name=f'resumes_{name}')
    runner.train()

    assert (runner.epoch, runner.iter) == (3, 6)
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 6
    # The schedule went on: a tenth of the lr from each milestone.
    assert runner.optim_wrapper.get_lr()['lr'] == [pytest.approx(0.001)]
