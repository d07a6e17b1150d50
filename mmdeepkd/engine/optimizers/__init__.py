"""The optimizer of gradient streams."""
from .decoupled_sgd import DecoupledSGD
from .streams import PLAIN, STREAMS

__all__ = ['PLAIN', 'STREAMS', 'DecoupledSGD']
