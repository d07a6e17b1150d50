"""The trainable modules of DiffKD; they need only torch."""
from .autoencoder import LinearAutoEncoder
from .bottleneck import Bottleneck
from .denoiser import LogitsDenoiser, MapDenoiser
from .drawing import Draws, RandomDraws
from .knowledge_diffusion import DiffusionOutput, KnowledgeDiffusion
from .noise_adapter import LogitsNoiseAdapter, MapNoiseAdapter

__all__ = [
    'Bottleneck', 'DiffusionOutput', 'Draws', 'KnowledgeDiffusion',
    'LinearAutoEncoder', 'LogitsDenoiser', 'LogitsNoiseAdapter',
    'MapDenoiser', 'MapNoiseAdapter', 'RandomDraws'
]
