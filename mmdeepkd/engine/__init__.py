"""Optimizer, optimizer wrappers, hooks and runner."""
import mmdeepkd.checkpoints  # noqa: F401  (MMEngine reads files safely)

from .amp_optim_wrapper import AmpDeepKDOptimWrapper
from .hooks import (
    AdapterCheckHook,
    ClassCountHook,
    DynamicTopKHook,
    FiniteLossHook,
    GSNRHook,
    GSNRMomentumHook,
    PlainCheckpointHook,
    RandomStateHook,
    ResumeCheckHook,
    SafeCheckpointHook,
    StartSummaryHook,
    StudentWeightsHook,
    WarmupHook,
)
from .loops import ResumableIterLoop
from .optim_wrapper import DeepKDOptimWrapper
from .optimizers import DecoupledAdamW, DecoupledSGD
from .runner import DistillRunner

__all__ = [
    'AdapterCheckHook', 'AmpDeepKDOptimWrapper', 'ClassCountHook',
    'DecoupledAdamW', 'DecoupledSGD', 'DeepKDOptimWrapper', 'DistillRunner',
    'DynamicTopKHook', 'FiniteLossHook', 'GSNRHook', 'GSNRMomentumHook',
    'PlainCheckpointHook', 'RandomStateHook', 'ResumableIterLoop',
    'ResumeCheckHook', 'SafeCheckpointHook', 'StartSummaryHook',
    'StudentWeightsHook', 'WarmupHook'
]
