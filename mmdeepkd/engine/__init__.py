"""Optimizer, optimizer wrappers, hooks and runner."""
import mmdeepkd.checkpoints  # noqa: F401  (MMEngine reads files safely)

from .amp_optim_wrapper import AmpDeepKDOptimWrapper
from .hooks import DynamicTopKHook, PlainCheckpointHook, WarmupHook
from .optim_wrapper import DeepKDOptimWrapper
from .optimizers import DecoupledAdamW, DecoupledSGD
from .runner import DistillRunner

__all__ = [
    'AmpDeepKDOptimWrapper', 'DecoupledAdamW', 'DecoupledSGD',
    'DeepKDOptimWrapper', 'DistillRunner', 'DynamicTopKHook',
    'PlainCheckpointHook', 'WarmupHook'
]
