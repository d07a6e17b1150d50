"""What the two forms of DiffKD share."""
from abc import abstractmethod
from typing import Dict, Tuple

from torch import Tensor

from mmdeepkd.functional import ddim_timesteps
from mmdeepkd.functional.inputs import check_choice, wide

from .base import check_weight, reduce_loss, scaled
from .diffkd import DiffusionOutput, KnowledgeDiffusion
from .feature_loss import FeatureLoss, FeatureTerms


class DiffusionLoss(FeatureLoss):
    """Denoises the student's feature, then matches it with the teacher's.

    Args:
        num_steps: DDIM steps, a divisor of 500.
        loss_weight: Weight of the matching, finite and >= 0.
        diffusion_weight: Weight of what trains the diffusion model; with
            'paper' not 0 beside a matching, for nothing else does.
        semantics: 'paper' or 'released'.

    Raises:
        ValueError: An option is wrong, or leaves the diffusion model
            untrained while the student is matched by it.
    """

    def __init__(self, num_steps: int, loss_weight: float,
                 diffusion_weight: float, semantics: str) -> None:
        super().__init__()
        # Raises: here, not when the adapters are built from it.
        ddim_timesteps(num_steps)
        check_weight(loss_weight, 'loss_weight')
        check_weight(diffusion_weight, 'diffusion_weight')
        check_choice(semantics, 'semantics', ('paper', 'released'))
        if semantics == 'paper' and loss_weight and not diffusion_weight:
            raise ValueError(
                f'diffusion_weight is {diffusion_weight}, so that with '
                "semantics='paper' nothing trains the diffusion model, which "
                'would stay at its random initialisation: give it a positive '
                "weight, or set semantics='released'.")
        self.num_steps = num_steps
        self.loss_weight = loss_weight
        self.diffusion_weight = diffusion_weight
        self.semantics = semantics

    @abstractmethod
    def prepare(self, adapter: KnowledgeDiffusion, feature_student: Tensor,
                feature_teacher: Tensor,
                place: str) -> Tuple[Tensor, Tensor]:
        """Return both features checked, as (N, C, H, W) of one size."""

    @abstractmethod
    def match(self, refined: Tensor, target: Tensor) -> Tensor:
        """Return how far refined features are from their target, (N,)."""

    def compare(self, adapter: KnowledgeDiffusion, feature_student: Tensor,
                feature_teacher: Tensor, place: str) -> DiffusionOutput:
        """Return the features on their way: raw, noisy, denoised, target.

        With the adapter in eval mode the noise of a place is the same in
        every call, for one seed of torch, and nothing in the adapter
        changes: so a trained one is shown, under ``torch.no_grad()``.

        Args:
            adapter: Of :meth:`build_adapter`.
            feature_student: As :meth:`forward` takes it.
            feature_teacher: As :meth:`forward` takes it.
            place: The pair's name.

        Raises:
            TypeError: A feature is not floating.
            ValueError: A shape is wrong.
        """
        student, teacher = self.prepare(adapter, feature_student,
                                        feature_teacher, place)
        # A bfloat16 teacher may teach a student without autocast.
        teacher = teacher.detach().to(wide(student.dtype))
        draws = adapter.draws_for(student, f'{self.name} {place}')
        return adapter(student, teacher, draws)

    def terms(self, output: DiffusionOutput) -> Dict[str, Tensor]:
        """Return the scalar losses, weights and warm-up applied."""
        matching = reduce_loss(self.match(output.refined, output.target))
        return {
            '': scaled(self.warmup_factor * self.loss_weight, matching),
            'diffusion': scaled(self.diffusion_weight,
                                reduce_loss(output.diffusion_loss)),
        }

    def forward(self, adapter: KnowledgeDiffusion, feature_student: Tensor,
                feature_teacher: Tensor, place: str) -> FeatureTerms:
        """Return the terms of one pair of features.

        Args:
            adapter: Of :meth:`build_adapter`; in training its counter of
                draws and its BatchNorm statistics move on.
            feature_student: Maps (N, C_s, H, W), or logits (N, C_s).
            feature_teacher: Of the teacher's channels and the same N;
                detached.
            place: The pair's name, for messages and for the random numbers.

        Returns:
            The scalar losses, weights and warm-up applied, and the batch
            mean of gamma. For N = 0 all are 0, the losses in the graph.

        Raises:
            TypeError: A feature is not floating.
            ValueError: A shape is wrong, or, from torch, BatchNorm gets a
                single value per channel.
        """
        output = self.compare(adapter, feature_student, feature_teacher,
                              place)
        gamma = reduce_loss(output.gamma.detach())
        return FeatureTerms(self.terms(output), dict(gamma=gamma))
