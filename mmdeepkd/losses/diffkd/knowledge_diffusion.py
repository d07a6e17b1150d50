"""Knowledge diffusion: a student's feature is denoised to a teacher's."""
from typing import Callable, NamedTuple, Optional, Tuple

from torch import Tensor, nn
from torch.func import functional_call

from mmdeepkd.functional.diffusion import (
    add_noise,
    alphas_cumprod,
    ddim_step,
    ddim_timesteps,
    mix_noise,
    squared_distance,
)
from mmdeepkd.functional.inputs import check_choice, upcast, wide

from .autoencoder import LinearAutoEncoder
from .denoiser import LogitsDenoiser, MapDenoiser
from .drawing import Draws, RandomDraws
from .noise_adapter import LogitsNoiseAdapter, MapNoiseAdapter
from .precision import constants_of, fit


class DiffusionOutput(NamedTuple):
    """All that is compared, logged or shown of one pair of features.

    The features are (N, c, H, W), float32 or wider.

    Attributes:
        raw: The student's feature in the teacher's channels.
        noisy: Mixed with noise by the noise adapter, x_T.
        denoised: After the diffusion steps, x_0.
        refined: Its projection: what is matched with the target.
        target: The teacher's feature, or its code; detached.
        gamma: Share of ``raw`` in ``noisy``, (N,).
        diffusion_loss: Error of the noise predicted in the target, (N,).
        reconstruction_loss: Of the auto-encoder, (N,); None without one.
    """

    raw: Tensor
    noisy: Tensor
    denoised: Tensor
    refined: Tensor
    target: Tensor
    gamma: Tensor
    diffusion_loss: Tensor
    reconstruction_loss: Optional[Tensor]


class KnowledgeDiffusion(RandomDraws):
    r"""The trainable part of DiffKD for one pair of features.

    .. math::
        f = \mathrm{transform}(F^s), \quad
        x_T = \gamma(f)\,f + (1 - \gamma(f))\,\epsilon, \quad
        x_0 = \mathrm{DDIM}(x_T), \quad
        \text{refined} = \mathrm{projection}(x_0)

    "Knowledge Diffusion for Distillation" (Huang et al. 2023,
    arXiv 2305.15712). The target z is the teacher's feature or the code of a
    linear auto-encoder. What trains what:

    - The diffusion loss, :math:`\|\phi(\sqrt{\bar\alpha_t} z +
      \sqrt{1 - \bar\alpha_t} n, t) - n\|^2`, reaches the denoiser phi alone:
      z is detached.
    - The reconstruction loss reaches the auto-encoder alone.
    - What is matched, ``refined``, reaches the projection, the noise adapter,
      the transform and the student, through all steps of the denoiser. With
      ``semantics='paper'`` the denoiser's parameters are constants there: it
      learns from the teacher's features alone. With 'released' the matching
      trains them too, as the authors' code does.
    - The teacher gets no gradient.

    In training the statistics of the denoiser's BatchNorm see the student's
    feature once per step and the teacher's once.

    Cast to half as a whole (``bfloat16()``), it computes the sampler and the
    losses in float32 all the same, as inside autocast.

    Args:
        student_channels: C of the student's feature.
        teacher_channels: C of the teacher's.
        code_channels: c of the auto-encoder's code; None for no auto-encoder.
        num_steps: DDIM steps, a divisor of 500.
        kind: 'maps' or 'logits': which denoiser and noise adapter.
        semantics: 'paper' or 'released'.
    """

    alphas_cumprod: Tensor

    def __init__(self, student_channels: int, teacher_channels: int,
                 code_channels: Optional[int], num_steps: int, kind: str,
                 semantics: str) -> None:
        super().__init__()
        check_choice(kind, 'kind', ('maps', 'logits'))
        check_choice(semantics, 'semantics', ('paper', 'released'))
        self.student_channels = student_channels
        self.teacher_channels = teacher_channels
        self.semantics = semantics
        channels = code_channels or teacher_channels
        maps = kind == 'maps'
        self.transform = nn.Conv2d(student_channels, channels, 1)
        self.autoencoder = None if code_channels is None else (
            LinearAutoEncoder(teacher_channels, channels))
        self.denoiser = (MapDenoiser if maps else LogitsDenoiser)(channels)
        self.noise_adapter = (
            MapNoiseAdapter if maps else LogitsNoiseAdapter)(channels)
        self.projection = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))
        levels = alphas_cumprod()
        self.register_buffer('alphas_cumprod', levels, persistent=False)
        self.timesteps = ddim_timesteps(num_steps)
        # As numbers: a step needs no table and no transfer.
        self.levels = [*levels[self.timesteps].tolist(), 1.0]

    def forward(self, feature_student: Tensor, feature_teacher: Tensor,
                draws: Draws) -> DiffusionOutput:
        """Return the denoised feature, its target and the losses.

        Args:
            feature_student: (N, C_s, H, W).
            feature_teacher: (N, C_t, H, W); detached here.
            draws: The random numbers, of :meth:`draws_for`.

        Raises:
            ValueError: Torch's: BatchNorm gets a single value per channel.
        """
        raw = upcast(self.transform(self._fit(feature_student)))
        target, reconstruction = self._encode(feature_teacher.detach())
        gamma = self.noise_adapter(self._fit(raw))
        noisy = mix_noise(raw, draws.adapter_noise, gamma)
        denoised = self._denoise(noisy)
        refined = upcast(self.projection(self._fit(denoised)))
        return DiffusionOutput(raw, noisy, denoised, refined, target, gamma,
                               self._diffusion_loss(target, draws),
                               reconstruction)

    def draws_for(self, feature_student: Tensor, place: str) -> Draws:
        """Return the random numbers that a forward needs.

        Args:
            feature_student: (N, C_s, H, W), what the forward will get.
            place: What distinguishes adapters of one run.
        """
        num_samples, _, height, width = feature_student.shape
        shape = (num_samples, self.transform.out_channels, height, width)
        return self.draws(shape, wide(feature_student.dtype),
                          feature_student.device, place)

    def _encode(self, feature: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        if self.autoencoder is None:
            return upcast(feature), None
        code, decoded = self.autoencoder(self._fit(feature))
        return upcast(code).detach(), squared_distance(decoded, feature)

    def _denoise(self, sample: Tensor) -> Tensor:
        constants = constants_of(self.denoiser) if (
            self.semantics == 'paper') else {}
        for i, timestep in enumerate(self.timesteps):
            # Buffers are not replaced: BatchNorm goes on counting in them.
            noise = functional_call(self.denoiser, constants,
                                    (self._fit(sample), timestep))
            sample = ddim_step(sample, noise, *self.levels[i:i + 2])
        return sample

    def _diffusion_loss(self, target: Tensor, draws: Draws) -> Tensor:
        noisy = add_noise(target, draws.noise,
                          self.alphas_cumprod[draws.timesteps])
        predicted = self.denoiser(self._fit(noisy), draws.timesteps)
        return squared_distance(predicted, draws.noise)

    def _fit(self, feature: Tensor) -> Tensor:
        return fit(feature, self.transform.weight)

    def _apply(self, fn: Callable[[Tensor], Tensor],
               recurse: bool = True) -> 'KnowledgeDiffusion':
        """Move or cast; the noise levels stay float32.

        Those next to 1 are 1 in half precision.
        """
        super()._apply(fn, recurse)
        self.alphas_cumprod = alphas_cumprod().to(self.alphas_cumprod.device)
        return self
