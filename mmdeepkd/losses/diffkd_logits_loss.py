"""DiffKD on logits."""
from typing import Tuple

from torch import Tensor

from mmdeepkd.functional import kd_divergence
from mmdeepkd.functional.inputs import check_temperature
from mmdeepkd.registry import MODELS

from .diffkd import KnowledgeDiffusion
from .diffkd.inputs import check_pair
from .diffusion_loss import DiffusionLoss


@MODELS.register_module()
class DiffKDLogitsLoss(DiffusionLoss):
    r"""DiffKD on logits, which are denoised and compared as KD does.

    .. math:: L = w\,T^2\,\mathrm{KL}(p^t \,\|\, \hat p^s)
            + w_d\,\|\phi(z_t, t) - n\|^2, \qquad z = \text{teacher's logits}

    with :math:`\hat p^s` of the student's logits, denoised and projected, and
    the norm a mean over all elements: "Knowledge Diffusion for
    Distillation" (Huang et al. 2023, arXiv 2305.15712). There is no
    auto-encoder. What trains what is said in
    :class:`~mmdeepkd.losses.diffkd.KnowledgeDiffusion`.

    Args:
        temperature: The positive temperature T.
        num_steps: DDIM steps, a divisor of 500.
        loss_weight: Weight w of the matching, finite and >= 0.
        diffusion_weight: Weight w_d of the diffusion loss; with 'paper' not
            0 unless w is, for nothing else trains the diffusion model.
        semantics: What trains the diffusion model: 'paper', its own loss
            alone; 'released', the matching too.

    Example:
        >>> import torch
        >>> loss = DiffKDLogitsLoss()
        >>> adapter = loss.build_adapter(10, 10)
        >>> terms = loss(adapter, torch.randn(8, 10), torch.randn(8, 10),
        ...              place='logits')
        >>> list(terms.losses)
        ['', 'diffusion']
    """

    method = 'diffkd_logits'
    reads = 'logits'

    def __init__(self,
                 temperature: float = 1.0,
                 num_steps: int = 5,
                 loss_weight: float = 1.0,
                 diffusion_weight: float = 1.0,
                 semantics: str = 'paper') -> None:
        super().__init__(num_steps, loss_weight, diffusion_weight, semantics)
        check_temperature(temperature)
        self.temperature = temperature

    def build_adapter(self, student_channels: int,
                      teacher_channels: int) -> KnowledgeDiffusion:
        """Return the trainable modules for the logits.

        Args:
            student_channels: Classes of the student's logits.
            teacher_channels: Classes of the teacher's, at least 2.

        Raises:
            ValueError: The teacher has fewer.
        """
        if teacher_channels < 2:
            raise ValueError(
                f'DiffKDLogitsLoss got a teacher of {teacher_channels} class '
                'but needs at least 2, for the softmax over one is constant: '
                'use DiffKDLoss on the maps.')
        return KnowledgeDiffusion(student_channels, teacher_channels, None,
                                  self.num_steps, 'logits', self.semantics)

    def prepare(self, adapter: KnowledgeDiffusion, feature_student: Tensor,
                feature_teacher: Tensor,
                place: str) -> Tuple[Tensor, Tensor]:
        """Return the logits checked, as maps of 1x1."""
        check_pair(feature_student, feature_teacher,
                   (adapter.student_channels, adapter.teacher_channels),
                   'logits', place)
        student, teacher = (
            logits.unsqueeze(-1).unsqueeze(-1)
            for logits in (feature_student, feature_teacher))
        return student, teacher

    def match(self, refined: Tensor, target: Tensor) -> Tensor:
        """Return the divergence of the softened logits, (N,)."""
        return kd_divergence(
            refined.flatten(1), target.flatten(1), self.temperature)
