"""How a teacher is made faster without teaching anything else."""
from .accelerated import AcceleratedModule
from .options import Speedup, parse_speedup
from .roots import Root, accelerate, is_accelerated

__all__ = [
    'AcceleratedModule', 'Root', 'Speedup', 'accelerate', 'is_accelerated',
    'parse_speedup'
]
