"""The features of teacher and student as pictures and tables."""
from typing import Dict, List, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .charts import WIDTH, Picture, png
from .features import ImageFeatures, PlaceFeatures
from .layout import Table
from .legends import wrapped
from .runs import Run

_TITLES = ('image', 'teacher', 'student', 'denoised')
_HEAD = ['place', 'channels x height x width', 'gamma',
         'MSE of the student', 'MSE after the diffusion steps',
         'MSE of the denoised']
_OF_LOGITS = ('; those of logits are of the logits themselves, while their '
              'loss is T² KL of the softmax')


def feature_table(run: Run, images: Sequence[ImageFeatures]) -> Table:
    """Return the numbers of every place, averaged over the images.

    Args:
        run: The run.
        images: At least one.
    """
    rows = []
    for name in dict.fromkeys(name for each in images
                              for name in each.places):
        found = [each.places[name] for each in images
                 if name in each.places]
        rows.append([
            name, ' x '.join(map(str, found[0].shape)),
            *(f'{np.mean(values):.3g}' for values in zip(*(
                (each.gamma, each.mse_student, each.mse_steps,
                 each.mse_denoised) for each in found)))])
    counted = 'one image' if len(images) == 1 else f'{len(images)} images'
    # Of several losses the loss's name stands before the place's.
    logits = any(row[0].split()[-1] == 'logits' for row in rows)
    return Table(f'{run.name}: mean squared errors against the teacher, over '
                 f'{counted}' + _OF_LOGITS * logits, _HEAD, rows)


def feature_picture(number: int, run: Run, image: ImageFeatures) -> Picture:
    """Draw one image and its feature maps, a place per row.

    Args:
        number: Of the figure.
        run: The run.
        image: Of which at least one place has a map.
    """
    places = {name: each for name, each in image.places.items() if each.maps}
    height, width = image.pixels.shape[:2]
    row = min(0.85 * height / width, 2.0) + 0.3
    figure = Figure((WIDTH, len(places) * row + 0.4), layout='constrained')
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02)
    axes = figure.subplots(len(places), len(_TITLES), squeeze=False)
    for axis, title in zip(axes[0], _TITLES):
        axis.set_title(title, fontsize=9)
    for line, (name, place) in zip(axes, places.items()):
        _draw_place(figure, line, image.pixels, name, place)
    return Picture(
        f'features_{number}', png(figure), _told(places),
        f'{run.name}, validation image {image.number}: by place, the '
        'image, the feature that the teacher gives as target, that of the '
        'student in the same space, and the same denoised. Mean absolute '
        'value over the channels, one scale per row; MSE: against the '
        'teacher.')


def _draw_place(figure: Figure, axes: Sequence[Axes], pixels: np.ndarray,
                name: str, place: PlaceFeatures) -> None:
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0].imshow(pixels)
    axes[0].set_ylabel(wrapped(name, 0.9, 8), fontsize=8)
    least = min(each.min() for each in place.maps)
    most = max(each.max() for each in place.maps)
    extent = (0, pixels.shape[1], pixels.shape[0], 0)
    for axis, values in zip(axes[1:], place.maps):
        # As large as the image, whose parts its places are.
        drawn = axis.imshow(values, vmin=least, vmax=most, extent=extent,
                            interpolation='nearest')
    for axis, error in zip(axes[2:], (place.mse_student,
                                      place.mse_denoised)):
        axis.set_xlabel(f'MSE {error:.3g}', fontsize=8)
    bar = figure.colorbar(drawn, ax=list(axes), fraction=0.05, pad=0.01,
                          shrink=0.75)
    bar.ax.tick_params(labelsize=7)
    bar.ax.locator_params(nbins=3)


def _told(places: Dict[str, PlaceFeatures]) -> str:
    told: List[str] = [
        f'{name}: mean squared error against the teacher '
        f'{each.mse_student:.3g} of the student, {each.mse_denoised:.3g} '
        'denoised' for name, each in places.items()]
    return ('One image and the features of teacher, student and denoised '
            f'student. {"; ".join(told)}.')
