"""The demo's two pictures: detections side by side, and the curves."""
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from .metrics import History, stream_losses  # noqa: E402

Box = Tuple[float, float, float, float]

_COLORS = plt.get_cmap('tab10').colors


class Detection(NamedTuple):
    """A box (x1, y1, x2, y2) in pixels with its text and class."""

    box: Box
    text: str
    label: int


def draw_grid(columns: Dict[str, Sequence[List[Detection]]],
              images: Sequence[np.ndarray], path: Path) -> None:
    """Draw every image (H, W, 3) once per column, with its detections."""
    figure, axes = plt.subplots(
        len(images),
        len(columns),
        figsize=(2.2 * len(columns), 2.3 * len(images)),
        squeeze=False)
    for column, (title, per_image) in enumerate(columns.items()):
        axes[0, column].set_title(title, fontsize=10)
        for row, (image, detections) in enumerate(zip(images, per_image)):
            draw_detections(axes[row, column], image, detections)
    figure.tight_layout(pad=0.4)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_detections(axis: Axes, image: np.ndarray,
                    detections: List[Detection]) -> None:
    """Draw an image (H, W, 3) with its detections."""
    height, width = image.shape[:2]
    # Boxes count pixel edges; by default the axes count pixel centres.
    axis.imshow(image, extent=(0, width, height, 0))
    axis.set_axis_off()
    for (x1, y1, x2, y2), text, label in detections:
        color = _COLORS[label % len(_COLORS)]
        axis.add_patch(
            plt.Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=color))
        axis.text(
            x1,
            y1 - 1,
            text,
            fontsize=7,
            color='white',
            va='bottom',
            bbox=dict(facecolor=color, pad=0.5, linewidth=0))


def draw_curves(histories: Dict[str, History], distilled: str,
                path: Path) -> None:
    """Draw the losses of one run by stream, and the mAP of all runs."""
    figure, (losses, maps) = plt.subplots(1, 2, figsize=(10, 3.6))
    curves: Dict[str, List[Tuple[int, float]]] = {}
    for iteration, values in histories[distilled].train:
        for stream, value in stream_losses(values).items():
            curves.setdefault(stream, []).append((iteration, value))
    for stream, points in curves.items():
        losses.plot(*zip(*points), label=stream)
    losses.set(title=f'{distilled}: loss by stream', xlabel='iteration')
    losses.set_ylim(bottom=0)
    for title, history in histories.items():
        maps.plot([epoch for epoch, _, _ in history.val],
                  [100 * box_map for _, box_map, _ in history.val],
                  marker='o',
                  label=title)
    maps.set(title='box mAP on the validation scenes', xlabel='epoch')
    for axis in (losses, maps):
        axis.grid(alpha=0.3)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
