"""How many classes a model predicts, whatever it is."""
from typing import Any, Optional

# Where mmdet's and mmpretrain's models keep what predicts classes.
_HEADS = ('roi_head.bbox_head', 'bbox_head', 'head')


def num_classes(model: Any) -> Optional[int]:
    """Return the number of classes of a model's head.

    Args:
        model: Of mmdet, mmpretrain, or any other.

    Returns:
        ``num_classes`` of its box or classification head, of the first one
        where a cascade has several; None if there is none, as in a detector
        that only proposes regions.
    """
    for path in _HEADS:
        head = model
        for name in path.split('.'):
            head = getattr(head, name, None)
        # Each stage of a cascade.
        if hasattr(head, '__getitem__') and not hasattr(head, 'num_classes'):
            head = head[0]
        found = getattr(head, 'num_classes', None)
        if isinstance(found, int) and not _proposes(head):
            return found
    return None


def _proposes(head: Any) -> bool:
    """Whether it is a region proposal head: one class, whatever the data."""
    return any('RPNHead' in kind.__name__ for kind in type(head).__mro__)
