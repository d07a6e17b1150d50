"""A loss of two views whose value is easy to foresee."""
from torch import nn

from mmdeepkd.functional import kd_divergence
from mmdeepkd.registry import MODELS


@MODELS.register_module(force=True)
class WeightedViewsLoss(nn.Module):
    """KD of the weak view and ten times that of the strong one."""

    streams = ('target', 'non_target')
    method = 'views'
    views = 2

    def forward(self, logits_student, logits_teacher, target):
        weak, strong = (
            kd_divergence(*pair, 4.).mean()
            for pair in zip(logits_student, logits_teacher))
        return dict(target=weak, non_target=10 * strong)
