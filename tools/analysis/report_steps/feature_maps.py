"""The section that shows features of teacher and student side by side."""
from typing import Callable, List, Sequence

from .charts import Picture
from .failures import UNUSABLE, LeftOut, told
from .feature_models import distils_features
from .feature_pictures import feature_picture, feature_table
from .features import ImageFeatures, features_of
from .layout import Section, Table
from .runs import Run

_NAME, _TITLE = 'features', 'Features'

Say = Callable[[str], None]


def feature_maps(runs: Sequence[Run], images: int, say: Say) -> Section:
    """Show what the last checkpoints make of the student's features.

    Args:
        runs: All runs; those that distil no features are left out.
        images: How many images of each.
        say: Told how far it is.
    """
    text: List[str] = []
    figures: List[Picture] = []
    tables: List[Table] = []
    those = [run for run in runs if distils_features(run)]
    for run in those:
        try:
            found = _found(run, images)
        except LeftOut as error:
            text.append(f'{run.name} is left out: {error}')
            say(f'  {text[-1]}')
            continue
        say(f'  {run.name}: features of {len(found)} images')
        tables += [feature_table(run, found)] if found else []
        figures += [
            feature_picture(len(figures) + i, run, image)
            for i, image in enumerate(
                (each for each in found if _has_maps(each)), 1)]
    if tables:
        text.append(
            "One pass of the last checkpoints' teacher, student and diffusion "
            'model, all in eval mode, with noise that is the same in every '
            'report and for every checkpoint. What is better denoised is '
            'nearer to the teacher, or only closer to its mean: look at '
            'both.')
    if not those:
        text.append('No run distils features.')
    return Section(_NAME, _TITLE, text, figures, tables)


def _found(run: Run, images: int) -> List[ImageFeatures]:
    if run.checkpoint is None:
        raise LeftOut('it has no checkpoint yet.')
    try:
        return features_of(run, images)
    except UNUSABLE as error:
        raise LeftOut(told(error)) from error


def _has_maps(image: ImageFeatures) -> bool:
    return any(place.maps for place in image.places.values())
