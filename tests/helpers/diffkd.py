"""Features and adapters of DiffKD, small and fixed."""
import torch

from mmdeepkd.losses import DiffKDLogitsLoss, DiffKDLoss

# What the reference calls the parts of an adapter, and what we do.
_NAMES = {
    'trans.': 'transform.',
    'proj.': 'projection.',
    'ae.encoder.': 'autoencoder.encoder.',
    'ae.decoder.0.': 'autoencoder.decoder.',
    'model.time_embedding.': 'denoiser.embedding.',
    'model.pred.': 'denoiser.layers.',
    'noise_adapter.feat.0.block.': 'noise_adapter.layers.block.',
    'noise_adapter.feat.': 'noise_adapter.layers.',
    'noise_adapter.pred.': 'noise_adapter.gates.',
}


def our_name(name):
    """Return our name of a reference's parameter or buffer."""
    old = next(old for old in _NAMES if name.startswith(old))
    return _NAMES[old] + name[len(old):]


def random_maps(num_samples=2, channels=(4, 6), size=(5, 4),
                teacher_size=None, dtype=torch.float32):
    """Return maps of a student, which needs a gradient, and a teacher."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (
        torch.randn(num_samples, count, *side, generator=generator,
                    dtype=torch.float64).to(dtype)
        for count, side in zip(channels, (size, teacher_size or size)))
    return student.requires_grad_(), teacher


def random_logits(num_samples=6, classes=5, dtype=torch.float32):
    """Return logits of a student, which need a gradient, and a teacher."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = 2 * torch.randn(
        2, num_samples, classes, generator=generator, dtype=torch.float64)
    return student.to(dtype).requires_grad_(), teacher.to(dtype)


def with_adapter(loss, channels=(4, 6), dtype=torch.float32):
    """Return the loss and an adapter of fixed random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return loss, loss.build_adapter(*channels).to(dtype)


def cases(map_channels=(4, 6), **kwargs):
    """Return, by kind, a loss, its adapter and two features."""
    return {
        'maps': (*with_adapter(DiffKDLoss(**kwargs), map_channels),
                 *random_maps(channels=map_channels)),
        'logits': (*with_adapter(DiffKDLogitsLoss(**kwargs), (5, 5)),
                   *random_logits()),
    }
