"""What a two-stage student's loss already computed, picked up on the way."""
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Tuple

from torch import Tensor, nn


class RoISample:
    """The classified RoIs of one stage of one batch.

    Attributes:
        rois: (R, 5): index of the image, then x1, y1, x2, y2 in its pixels.
        logits: (R, C) of the student, background last.
        labels: (R,) int64, or None if the stage had no RoI to classify.
        label_weights: (R,), or None with the labels.
        avg_factor: What mmdet divides the sum of the losses by.
    """

    def __init__(self, rois: Tensor, logits: Tensor) -> None:
        self.rois = rois
        self.logits = logits
        self.labels: Optional[Tensor] = None
        self.label_weights: Optional[Tensor] = None
        self.avg_factor: Optional[float] = None


class RoICapture:
    """Records the RoI samples of a student while its loss is computed.

    Hooks on three public modules of the RoI head: the RoI extractor tells
    the boxes, the box head the logits, its ``loss_cls`` the labels. A mask
    head may share the extractor: a box head is paired with the last
    extractor call before it.

    Args:
        roi_head: RoI head of the student, with one stage or several.
    """

    def __init__(self, roi_head: nn.Module) -> None:
        self._active = False
        self._rois: Optional[Tensor] = None
        self._samples: List[RoISample] = []
        for extractor in as_stages(roi_head.bbox_roi_extractor):
            extractor.register_forward_pre_hook(
                self._on_extractor, with_kwargs=True)
        for head in as_stages(roi_head.bbox_head):
            head.register_forward_hook(self._on_head)
            head.loss_cls.register_forward_pre_hook(
                self._on_loss, with_kwargs=True)

    @contextmanager
    def recording(self) -> Iterator[List[RoISample]]:
        """Collect the samples of the loss computed inside, stage by stage."""
        self._samples = samples = []
        self._active = True
        try:
            yield samples
        finally:
            # Tensors with a graph cannot be deep-copied (EMA), and must not
            # outlive the iteration.
            self._active, self._rois, self._samples = False, None, []

    def _on_extractor(self, module: nn.Module, args: Tuple[Any, ...],
                      kwargs: Dict[str, Any]) -> None:
        if self._active:
            self._rois = kwargs['rois'] if 'rois' in kwargs else args[1]

    def _on_head(self, module: nn.Module, args: Tuple[Any, ...],
                 output: Tuple[Tensor, Tensor]) -> None:
        if self._active:
            assert self._rois is not None
            self._samples.append(RoISample(self._rois, output[0]))

    def _on_loss(self, module: nn.Module, args: Tuple[Any, ...],
                 kwargs: Dict[str, Any]) -> None:
        if self._active:
            if len(args) < 3 or 'avg_factor' not in kwargs:
                raise TypeError(
                    'DetectorDistiller reads the labels where the box head '
                    'calls loss_cls(logits, labels, label_weights, '
                    'avg_factor=...), and the head of this student calls '
                    f'{type(module).__name__} in another way: let it call as '
                    "mmdet's BBoxHead does.")
            sample = self._samples[-1]
            _, sample.labels, sample.label_weights = args[:3]
            sample.avg_factor = kwargs['avg_factor']


def as_stages(module: nn.Module) -> List[nn.Module]:
    """Return the stages of a RoI head's part: several in a Cascade, or one."""
    return list(module) if isinstance(module, nn.ModuleList) else [module]
