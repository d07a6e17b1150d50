"""Whatever brings mmdeepkd into a process brings the safe reader too."""
import os
import sys
from pathlib import Path

import mmdet
import pytest
from mmengine.config import Config

from tests.helpers.checkpoint_files import Call, save
from tests.helpers.coco import write_coco
from tests.helpers.detectors import faster_rcnn
from tests.helpers.processes import run_command, run_python

MMDET_TRAIN = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'train.py'

# Only what the config's type pulls in; nothing else imports mmdeepkd.
LOOK_UP = """
import sys
from mmengine import registry
from mmengine.runner.checkpoint import CheckpointLoader
assert not any(name.startswith('mmdeepkd') for name in sys.modules)
getattr(registry, sys.argv[1]).get(sys.argv[2])
print({loader.__module__ for loader in CheckpointLoader._schemes.values()})
"""


@pytest.mark.parametrize('registry, name', [
    ('MODELS', 'DetectorDistiller'),
    ('MODELS', 'ClassifierDistiller'),
    ('OPTIM_WRAPPERS', 'DeepKDOptimWrapper'),
    ('RUNNERS', 'DistillRunner'),
])
def test_a_type_of_ours_is_enough(registry, name):
    result = run_python(LOOK_UP, registry, f'mmdeepkd.{name}')

    assert result.stdout == "{'mmdeepkd.checkpoints.loader'}\n"


def plain_config(folder, load_from):
    """A plain mmdet config but for the type of its optimizer wrapper."""
    write_coco(folder / 'coco')
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='PackDetInputs'),
    ]
    config = Config(dict(
        default_scope='mmdet',
        model=faster_rcnn(num_classes=80),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(
                type='CocoDataset',
                data_root=str(folder / 'coco'),
                ann_file='annotations/instances_train2017.json',
                data_prefix=dict(img='train2017/'),
                pipeline=pipeline)),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(
            type='mmdeepkd.DeepKDOptimWrapper',
            delta=0.05,
            optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        work_dir=str(folder / 'work'),
        load_from=load_from))
    config.dump(str(folder / 'config.py'))
    return folder / 'config.py'


def test_mmdets_own_train_py_runs_no_payload(tmp_path, site):
    marker = tmp_path / 'ran'
    payload = Call(os.system, f'touch {marker}')
    # A URL, since MMEngine's own loader runs this on any torch.
    site['/x.pth'] = save(
        tmp_path / 'x.pth', dict(state_dict={}, meta=payload)).read_bytes()
    config = plain_config(tmp_path, site.url + '/x.pth')
    result = run_command(sys.executable, MMDET_TRAIN, config, cwd=tmp_path)

    assert result.returncode == 1
    assert (f'{site.url}/x.pth was not loaded: it asks for '
            f'{os.system.__module__}.system' in result.stderr)
    assert site.asked == ['/x.pth'] and not marker.exists()
