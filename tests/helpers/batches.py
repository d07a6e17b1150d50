"""Batches as mmdet's dataloader gives them."""
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData


def detection_batch(seed=0, size=64, images=2, boxes=2, num_classes=3,
                    masks=False, sizes=None):
    """Random images with boxes: ``dict(inputs=[...], data_samples=[...])``."""
    generator = torch.Generator().manual_seed(seed)
    inputs, samples = [], []
    for i in range(images):
        height, width = (size, size) if sizes is None else sizes[i]
        inputs.append(
            torch.randint(
                0, 256, (3, height, width), generator=generator,
                dtype=torch.uint8))
        corner = torch.rand(boxes, 2, generator=generator) * 0.5
        extent = torch.rand(boxes, 2, generator=generator) * 0.3 + 0.2
        scale = torch.tensor([width, height], dtype=torch.float)
        instances = InstanceData(
            bboxes=torch.cat([corner, corner + extent], 1) * scale.repeat(2),
            labels=torch.randint(
                0, num_classes, (boxes, ), generator=generator))
        if masks:
            instances.masks = BitmapMasks(
                np.ones((boxes, height, width), np.uint8), height, width)
        sample = DetDataSample(
            gt_instances=instances,
            metainfo=dict(
                img_id=i,
                img_path=f'{i}.png',
                img_shape=(height, width),
                ori_shape=(height, width),
                scale_factor=(1., 1.),
                flip=False))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)
