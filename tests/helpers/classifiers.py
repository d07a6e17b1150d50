"""Classifiers that train in milliseconds, distillers over them, batches."""
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.structures import DataSample
from torch.utils.data import Dataset

import mmdeepkd.registry  # noqa: F401

CLASSES = 5
# Of one kind as torchvision has it, of another as old Caffe models.
RGB = dict(mean=[120., 115., 100.], std=[60., 58., 57.], to_rgb=True)
BGR = dict(mean=[103., 116., 123.], std=[1., 2., 3.], to_rgb=False)
MIXING = dict(augments=[
    dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.)])


def preprocessor(**kwargs):
    defaults = dict(
        RGB, type='mmpretrain.ClsDataPreprocessor', num_classes=CLASSES)
    return dict(defaults, **kwargs)


def resnet(num_classes=CLASSES, width=4, norm_eval=False, pixels=None,
           **kwargs):
    """A ResNet-18 with few channels."""
    head = dict(
        type='mmpretrain.LinearClsHead',
        num_classes=num_classes,
        in_channels=width * 8,
        loss=dict(type='mmpretrain.CrossEntropyLoss'))
    head.update(kwargs.pop('head', {}))
    return dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=preprocessor(**(pixels or {})),
        backbone=dict(
            type='mmpretrain.ResNet',
            depth=18,
            stem_channels=width,
            base_channels=width,
            norm_eval=norm_eval),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=head,
        **kwargs)


def timm_net(num_classes=CLASSES, name='mobilenetv3_small_050', **kwargs):
    """One of the smallest networks of timm."""
    return dict(
        type='mmpretrain.TimmClassifier',
        data_preprocessor=preprocessor(),
        model_name=name,
        num_classes=num_classes,
        **kwargs)


def build_classifier(config):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(ConfigDict(config))


def write_teacher(config, path, seed=1):
    """Save random weights of a classifier, as a training would."""
    torch.manual_seed(seed)
    model = build_classifier(config)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return str(path)


def distiller_config(student, teacher, checkpoint, **kwargs):
    kwargs.setdefault('losses', dict(type='mmdeepkd.DeepKDLoss'))
    return dict(
        type='mmdeepkd.ClassifierDistiller',
        student=student,
        teacher=teacher,
        teacher_checkpoint=checkpoint,
        **kwargs)


def make_distiller(folder, student, teacher, seed=0, **kwargs):
    """Build a distiller with initialised weights over a random teacher."""
    checkpoint = write_teacher(teacher, folder / 'teacher.pth')
    torch.manual_seed(seed)
    distiller = build_classifier(
        distiller_config(student, teacher, checkpoint, **kwargs))
    distiller.init_weights()
    return distiller


def labelled(label, shape=None):
    sample = DataSample().set_gt_label(label)
    if shape is not None:
        sample.set_metainfo(dict(img_shape=shape))
    return sample


def image_batch(seed=0, images=4, size=32, num_classes=CLASSES):
    """What mmpretrain's default_collate makes of random images."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randint(
        0, 256, (images, 3, size, size), generator=generator,
        dtype=torch.uint8)
    labels = torch.randint(0, num_classes, (images, ), generator=generator)
    return dict(
        inputs=inputs,
        data_samples=[labelled(int(label), (size, size)) for label in labels])


class Images(Dataset):
    """The images of :func:`image_batch`, one by one."""

    def __init__(self, **kwargs):
        self.batch = image_batch(**kwargs)

    def __len__(self):
        return len(self.batch['inputs'])

    def __getitem__(self, index):
        # mmpretrain's preprocessor writes into the samples.
        return dict(
            inputs=self.batch['inputs'][index],
            data_samples=self.batch['data_samples'][index].clone())
