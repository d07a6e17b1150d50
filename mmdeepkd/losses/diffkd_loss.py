"""DiffKD on feature maps."""
import warnings
from typing import Any, Dict, List, Optional, Tuple, Union

from torch import Tensor

from mmdeepkd.functional import squared_distance
from mmdeepkd.functional.inputs import check_choice
from mmdeepkd.registry import MODELS

from .base import check_weight, reduce_loss, scaled
from .diffkd import DiffusionOutput, KnowledgeDiffusion
from .diffkd.inputs import ALIGN, align_maps, check_pair
from .diffusion_loss import DiffusionLoss

#: A level of the student, or one of the student and one of the teacher.
Level = Union[int, Tuple[int, int]]


@MODELS.register_module()
class DiffKDLoss(DiffusionLoss):
    r"""DiffKD on feature maps: a detector's levels, a classifier's last map.

    .. math:: L = w\,\|\hat F^s - z\|^2
            + w_d\,\|\phi(z_t, t) - n\|^2
            + w_a\,\|D(E(F^t)) - F^t\|^2, \qquad z = E(F^t)

    with :math:`\hat F^s` the student's map, denoised and projected, and each
    norm a mean over all elements: "Knowledge Diffusion for Distillation"
    (Huang et al. 2023, arXiv 2305.15712). What trains what is said in
    :class:`~mmdeepkd.losses.diffkd.KnowledgeDiffusion`. The released configs
    set a code of 1024 channels, which expands the 512 of a ResNet-34; here
    it has half the teacher's. Terms of several levels are summed: with the
    five levels of an FPN there are five of each.

    Args:
        channels: Width of the auto-encoder's code: 'half' of the teacher's
            channels, a number, or None for no auto-encoder.
        levels: Which maps. None: of a classifier the last one, of a detector
            every level whose stride the teacher has too. Else a list of
            indices of the student, negative ones from the end, or of pairs
            of a student's and a teacher's index: ``[(0, 1)]`` is one pair.
        align: Who sets the size where two maps differ in height or width:
            'student' resizes the teacher's map, 'teacher' the student's,
            'error' neither. Shrinking is adaptive average pooling, else
            resizing is bilinear. With 'teacher' the gradient goes through
            it, and on GPUs torch has no deterministic one of this pooling.
        num_steps: DDIM steps, a divisor of 500.
        loss_weight: Weight w of the matching, finite and >= 0.
        diffusion_weight: Weight w_d of the diffusion loss; with 'paper' not
            0 unless w is, for nothing else trains the diffusion model.
        autoencoder_weight: Weight w_a of the reconstruction, which alone
            trains the auto-encoder: not 0 unless w is; without an
            auto-encoder it is left out.
        semantics: What trains the diffusion model: 'paper', its own loss
            alone; 'released', the matching too.

    Raises:
        ValueError: An option is wrong, has no effect, or leaves the
            diffusion model or the auto-encoder untrained while the student
            is matched by it.

    Example:
        >>> import torch
        >>> loss = DiffKDLoss()
        >>> adapter = loss.build_adapter(4, 8)
        >>> terms = loss(adapter, torch.randn(2, 4, 5, 5),
        ...              torch.randn(2, 8, 5, 5), place='map')
        >>> list(terms.losses)
        ['', 'diffusion', 'autoencoder']
    """

    method = 'diffkd'
    reads = 'maps'

    def __init__(self,
                 channels: Union[str, int, None] = 'half',
                 levels: Optional[List[Level]] = None,
                 align: str = 'student',
                 num_steps: int = 5,
                 loss_weight: float = 1.0,
                 diffusion_weight: float = 1.0,
                 autoencoder_weight: float = 1.0,
                 semantics: str = 'paper') -> None:
        super().__init__(num_steps, loss_weight, diffusion_weight, semantics)
        _check_channels(channels)
        _check_levels(levels)
        check_choice(align, 'align', ALIGN)
        _check_autoencoder(autoencoder_weight, channels, loss_weight)
        self.channels = channels
        self.levels = levels
        self.align = align
        self.autoencoder_weight = autoencoder_weight

    def build_adapter(self, student_channels: int,
                      teacher_channels: int) -> KnowledgeDiffusion:
        """Return the trainable modules for one pair of maps.

        Args:
            student_channels: C_s of the student's map.
            teacher_channels: C_t of the teacher's.
        """
        code = self.channels
        if code == 'half':
            code = max(1, teacher_channels // 2)
        elif code is not None and code >= teacher_channels:
            warnings.warn(
                f'DiffKDLoss has channels={code} for a map of '
                f"{teacher_channels}: such a code compresses nothing; 'half' "
                'is cheaper, None leaves the auto-encoder out.',
                stacklevel=2)
        return KnowledgeDiffusion(student_channels, teacher_channels, code,
                                  self.num_steps, 'maps', self.semantics)

    def prepare(self, adapter: KnowledgeDiffusion, feature_student: Tensor,
                feature_teacher: Tensor,
                place: str) -> Tuple[Tensor, Tensor]:
        """Return both maps checked and in one size."""
        check_pair(feature_student, feature_teacher,
                   (adapter.student_channels, adapter.teacher_channels),
                   'maps', place)
        return align_maps(feature_student, feature_teacher, self.align, place)

    def match(self, refined: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared difference, (N,)."""
        return squared_distance(refined, target)

    def terms(self, output: DiffusionOutput) -> Dict[str, Tensor]:
        """Return the scalar losses, weights and warm-up applied."""
        losses = super().terms(output)
        if output.reconstruction_loss is not None:
            losses['autoencoder'] = scaled(
                self.autoencoder_weight,
                reduce_loss(output.reconstruction_loss))
        return losses


def _check_channels(channels: Any) -> None:
    valid = channels is None or channels == 'half' or (
        _is_int(channels) and channels >= 1)
    if not valid:
        raise ValueError(f"channels is {channels!r} but must be 'half', a "
                         'number of channels, or None for no auto-encoder.')


def _check_autoencoder(weight: float, channels: Any,
                       loss_weight: float) -> None:
    check_weight(weight, 'autoencoder_weight')
    if channels is None and weight != 1:
        raise ValueError(
            f'autoencoder_weight is {weight} but channels=None leaves the '
            'auto-encoder out, so that there is nothing to weigh: leave the '
            "weight out, or set channels='half'.")
    if loss_weight and not weight:
        raise ValueError(
            f'autoencoder_weight is {weight}, so that nothing trains the '
            'auto-encoder, which would stay at its random initialisation, '
            'and its code is what the student is to match: give it a '
            'positive weight, or set channels=None to leave it out.')


def _check_levels(levels: Any) -> None:
    # A tuple may be two levels or one pair: (0, 1) is refused.
    if levels is not None and not (isinstance(levels, list) and levels
                                   and all(map(_is_level, levels))):
        raise ValueError(
            f'levels is {levels!r} but must be None or a list (no tuple) of '
            'indices such as [0, 1, -1], or of pairs (student, teacher): '
            '[(0, 1)] for one pair.')


def _is_level(level: Any) -> bool:
    if isinstance(level, (list, tuple)):
        return len(level) == 2 and all(map(_is_int, level))
    return _is_int(level)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
