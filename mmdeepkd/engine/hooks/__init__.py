"""Hooks of distillation runs."""
from .adapter_check_hook import AdapterCheckHook
from .class_count_hook import ClassCountHook
from .dynamic_topk_hook import DynamicTopKHook
from .finite_loss_hook import FiniteLossHook
from .gsnr_hook import GSNRHook
from .gsnr_momentum_hook import GSNRMomentumHook
from .plain_checkpoint_hook import PlainCheckpointHook
from .random_state_hook import RandomStateHook
from .resume_check_hook import ResumeCheckHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .start_summary_hook import StartSummaryHook
from .student_weights_hook import StudentWeightsHook
from .warmup_hook import WarmupHook

__all__ = [
    'AdapterCheckHook', 'ClassCountHook', 'DynamicTopKHook',
    'FiniteLossHook', 'GSNRHook', 'GSNRMomentumHook', 'PlainCheckpointHook',
    'RandomStateHook', 'ResumeCheckHook', 'SafeCheckpointHook',
    'StartSummaryHook', 'StudentWeightsHook', 'WarmupHook'
]
