"""How many classes a model predicts, whatever it is."""
from typing import Any, Optional

# Where mmdet's and mmpretrain's models keep what predicts classes. Not the
# RPN: it has one class in every detector.
_HEADS = ('roi_head.bbox_head', 'bbox_head', 'head')


def num_classes(model: Any) -> Optional[int]:
    """Return the number of classes of a model's head.

    Args:
        model: Of mmdet, mmpretrain, or any other.

    Returns:
        ``num_classes`` of its box or classification head, of the first one
        where a cascade has several; None if there is none.
    """
    for path in _HEADS:
        head = model
        for name in path.split('.'):
            head = getattr(head, name, None)
        # Each stage of a cascade.
        if hasattr(head, '__getitem__') and not hasattr(head, 'num_classes'):
            head = head[0]
        found = getattr(head, 'num_classes', None)
        if isinstance(found, int):
            return found
    return None
