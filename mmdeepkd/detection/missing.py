"""What stands in for this room where mmdet is not installed."""
from typing import Any

from mmdeepkd.registry import MODELS


@MODELS.register_module()
class DetectorDistiller:
    """Says what to install, when somebody wants a detector."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ImportError(
            'mmdeepkd.DetectorDistiller needs mmdet and mmcv with its ops: '
            'install them with `pip install "mmdet>=3.3" "mmcv>=2.0,<2.2"` '
            '(mmcv with MMCV_WITH_OPS=1), or with `make env` in a checkout.')
