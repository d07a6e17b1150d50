"""What files hold: trained through or refused by the file's name."""
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from PIL import Image

from mmdeepkd.engine import DistillRunner
from mmdeepkd.engine.empty_images import name_empty_image
from tests.helpers.coco import write_coco
from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import distiller_config, write_teacher
from tests.helpers.training import run_training

WRAPPER = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9),
    delta=0.05)
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='PackDetInputs')
]
SIZE = (96, 80)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    teacher = faster_rcnn(80)
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    return distiller_config(faster_rcnn(80), teacher,
                            write_teacher(teacher, path))


def train(model, root, iterations=1, num_workers=0):
    """Train on the images of a COCO folder; return the losses."""
    dataset = dict(
        type='CocoDataset',
        data_root=str(root),
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=PIPELINE)
    runner, losses = run_training(
        model, WRAPPER, root / 'work', iterations=iterations, dataset=dataset,
        num_workers=num_workers, runner_class=DistillRunner)
    values = [*runner.model.state_dict().values(),
              torch.tensor([list(step.values()) for step in losses])]
    assert all(value.isfinite().all() for value in values)
    return losses

# Boxes as x, y, width, height, and what mmdet makes of each.
ANNOTATIONS = {
    'none': [],
    'a crowd': [dict(bbox=[0, 0, 96, 80], iscrowd=1)],
    'no area': [dict(bbox=[5, 5, 0, 9]), dict(bbox=[5, 5, 9, 0])],
    'a negative width': [dict(bbox=[50, 5, -20, 9])],
    'outside the image': [dict(bbox=[300, 300, 20, 20])],
    'over the border': [dict(bbox=[-20, -20, 300, 40])],
    'one pixel': [dict(bbox=[95, 79, 1, 1])],
}


@pytest.mark.parametrize('case', ANNOTATIONS)
def test_annotations_of_a_file(case, model, tmp_path):
    write_coco(tmp_path, boxes_per_image=(0, 1), size=SIZE)
    path = tmp_path / 'annotations' / 'instances_train2017.json'
    content = json.loads(path.read_text())
    content['annotations'] += [
        dict(dict(id=10 + i, image_id=1, category_id=1, area=400, iscrowd=0),
             **annotation) for i, annotation in enumerate(ANNOTATIONS[case])
    ]
    path.write_text(json.dumps(content))

    train(model, tmp_path)


MODES = ['L', 'LA', 'RGBA', 'P', '1', 'I;16', 'CMYK', 'RGB']


def test_images_of_any_mode(model, tmp_path):
    """They are loaded with three channels."""
    write_coco(tmp_path, boxes_per_image=[1] * len(MODES), size=SIZE)
    for i, mode in enumerate(MODES):
        path = tmp_path / 'train2017' / f'{i:012d}.jpg'
        image = Image.open(path).convert('RGB')
        if mode == 'I;16':
            image = Image.fromarray(np.asarray(image)[..., 0].astype('uint16'))
        else:
            image = image.convert(mode)
        # Decoders look at the content, not at the name.
        image.save(path, format='JPEG' if mode == 'CMYK' else 'PNG')

    assert len(train(model, tmp_path, iterations=len(MODES) // 2)) == 4


def truncated(path):
    buffer = io.BytesIO()
    Image.open(path).save(buffer, 'PNG')
    return buffer.getvalue()[:-200]


BROKEN = {
    'cut off': (truncated, AssertionError, 'failed to load image: '),
    'a web page': (lambda path: b'<html>404</html>', AssertionError,
                   'failed to load image: '),
    'not there': (lambda path: None, FileNotFoundError, 'No such file'),
    'empty': (lambda path: b'', RuntimeError,
              r'is empty \(0 bytes\): copy it again, or remove it'),
}


@pytest.mark.parametrize('case', BROKEN)
def test_broken_images_are_named(case, model, tmp_path):
    content, error, message = BROKEN[case]
    write_coco(tmp_path, boxes_per_image=(1, 1), size=SIZE)
    path = tmp_path / 'train2017' / f'{1:012d}.jpg'
    broken = content(path)
    path.unlink()
    if broken is not None:
        path.write_bytes(broken)

    with pytest.raises(error, match=message) as raised:
        # A worker's error arrives in other words.
        train(model, tmp_path, num_workers=int(case == 'empty'))
    assert str(path) in str(raised.value)


def test_an_error_of_another_origin_is_left_alone(tmp_path):
    image = tmp_path / 'image.png'
    image.write_bytes(b'not empty')
    dataset = BaseDataset(
        data_prefix=dict(img_path=''), lazy_init=True, serialize_data=False)
    dataset.data_list = [dict(img_path=str(image))]
    dataset._fully_initialized = True
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    runner = SimpleNamespace(train_loop=loop, val_loop=None)

    for text in ('!buf.empty()', 'anything else'):
        with pytest.raises(OSError, match=text):
            with name_empty_image(runner):
                raise OSError(text)
    image.write_bytes(b'')
    with pytest.raises(RuntimeError, match=f'the image {image} is empty'):
        with name_empty_image(runner):
            raise OSError('!buf.empty()')
