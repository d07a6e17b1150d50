"""The formulas of distillation on plain tensors; this room needs only torch.

Every divergence is per sample, ``(N,)``, carries ``temperature ** 2`` and is
summed over classes; nothing is reduced over samples and nothing is detached.
Half-precision logits are computed and returned in float32.
"""
from .dkd import dkd_divergences
from .kd import kd_divergence
from .standardize import standardize_logits
from .topk import dynamic_topk, topk_keep_mask

__all__ = [
    'dkd_divergences', 'dynamic_topk', 'kd_divergence', 'standardize_logits',
    'topk_keep_mask'
]
