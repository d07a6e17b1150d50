"""Registered loss modules: they hold the weights and reduce once."""
from .deepkd_loss import DeepKDLoss
from .dkd_loss import DKDLoss
from .kd_loss import KDLoss

__all__ = ['DKDLoss', 'DeepKDLoss', 'KDLoss']
