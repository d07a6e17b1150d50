"""Runs of MMEngine's Runner, and single passes, of tiny classifiers."""
from .classifiers import Images, image_batch
from .training import loss_dict, run_training, train_steps


def train_classifier(model, wrapper, work_dir, images=None, **kwargs):
    """Train with MMEngine's Runner; return (runner, losses)."""
    return run_training(
        model,
        wrapper,
        work_dir,
        dataset=Images(**(images or dict(images=10))),
        collate='default_collate',
        default_scope='mmpretrain',
        **kwargs)


def classifier_losses(distiller, batch=None):
    """Return the losses of one forward pass in training mode."""
    return loss_dict(distiller, batch or image_batch())


def classifier_steps(distiller, steps=1, batch=None, **kwargs):
    """Train for some iterations; return the logged losses of each."""
    return train_steps(distiller, steps, batch or image_batch(), **kwargs)
