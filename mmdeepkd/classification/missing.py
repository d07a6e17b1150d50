"""What stands in for this room where mmpretrain is not installed."""
from typing import Any

from mmdeepkd.registry import MODELS


@MODELS.register_module()
class ClassifierDistiller:
    """Says what to install, when somebody wants a classifier."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ImportError(
            'mmdeepkd.ClassifierDistiller needs mmpretrain and mmcv: install '
            'them with `pip install "mmpretrain>=1.0" "mmcv>=2.0,<2.2"`, or '
            'with `make env` in a checkout.')
