"""A RandomSampler whose choice depends on the image's candidates alone."""
import torch
from mmdet.models.task_modules.samplers import RandomSampler
from mmdet.registry import TASK_UTILS


@TASK_UTILS.register_module()
class SeededSampler(RandomSampler):
    """Draws the same in every process, whatever was drawn before."""

    def random_choice(self, gallery, num):
        generator = torch.Generator().manual_seed(len(gallery))
        gallery = torch.as_tensor(gallery)
        return gallery[torch.randperm(len(gallery), generator=generator)[:num]]
