"""The optimizers of gradient streams."""
from .base import DecoupledOptimizer
from .decoupled_adamw import DecoupledAdamW
from .decoupled_sgd import DecoupledSGD
from .streams import PLAIN, STREAMS

__all__ = [
    'PLAIN', 'STREAMS', 'DecoupledAdamW', 'DecoupledOptimizer', 'DecoupledSGD'
]
