"""The formulas of distillation on plain tensors; this room needs only torch.

Every divergence is per sample, ``(N,)``, carries ``temperature ** 2`` and is
summed over classes; nothing is reduced over samples and nothing is detached.
(What is a statistic of the batch, as in DIST, says so.)
Half-precision logits are computed and returned in float32.
"""
from .consistency import batch_consistency, class_consistency
from .diffusion import (
    add_noise,
    alphas_cumprod,
    ddim_step,
    ddim_timesteps,
    mix_noise,
    squared_distance,
)
from .dist import dist_distances
from .dkd import deepkd_divergences, dkd_divergences
from .gdkd import gdkd3_divergences, gdkd_divergences, top_group_masses
from .gsnr import gsnr, gsnr_offsets
from .kd import kd_divergence
from .ls_gdkd import ls_gdkd_divergences
from .standardize import standardize_logits
from .topk import dynamic_topk, topk_keep_mask

__all__ = [
    'add_noise', 'alphas_cumprod', 'batch_consistency', 'class_consistency',
    'ddim_step', 'ddim_timesteps', 'deepkd_divergences', 'dist_distances',
    'dkd_divergences', 'dynamic_topk', 'gdkd3_divergences',
    'gdkd_divergences', 'gsnr', 'gsnr_offsets', 'kd_divergence',
    'ls_gdkd_divergences', 'mix_noise', 'squared_distance',
    'standardize_logits', 'top_group_masses', 'topk_keep_mask'
]
