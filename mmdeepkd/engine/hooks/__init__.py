"""Hooks of distillation runs."""
from .dynamic_topk_hook import DynamicTopKHook
from .plain_checkpoint_hook import PlainCheckpointHook
from .warmup_hook import WarmupHook

__all__ = ['DynamicTopKHook', 'PlainCheckpointHook', 'WarmupHook']
