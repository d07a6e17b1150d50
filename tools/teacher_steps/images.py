"""The validation images that a teacher is measured on."""
from typing import Any

from mmengine.runner import Runner


def take_part(runner: Runner, images: int) -> None:
    """Take this many validation images, spread evenly over all.

    The first ones would be of few classes where a set is sorted by class, as
    ImageNet's is.

    Args:
        runner: Its validation loop gets another dataloader.
        images: How many, fewer than there are.

    Raises:
        ValueError: The data set is made of others.
    """
    loop = runner.val_loop
    dataset = loop.dataloader.dataset
    total = len(dataset)
    try:
        dataset.get_subset_([i * total // images for i in range(images)])
    except (AttributeError, NotImplementedError) as error:
        raise ValueError(
            '--images cannot choose from val_dataloader.dataset, a '
            f'{type(dataset).__name__}: leave --images out.') from error
    # The samplers know the number of images from the beginning.
    loop.dataloader = runner.build_dataloader(
        dict(runner.cfg.val_dataloader, dataset=dataset), seed=runner.seed)


def score_these_images_only(loop: Any) -> None:
    """Let mmdet's COCO metrics ignore images that are left out.

    They would count as images on which nothing was found.

    Args:
        loop: The validation loop.
    """
    dataset = loop.dataloader.dataset
    for metric in loop.evaluator.metrics:
        if getattr(metric, 'img_ids', ()) is None:
            metric.img_ids = [
                dataset.get_data_info(i)['img_id']
                for i in range(len(dataset))
            ]
