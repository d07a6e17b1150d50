"""What of a plain SGD or AdamW has no place in a decoupled one."""
from typing import Any, List, Mapping

# They have no meaning over streams.
_REFUSED = ('nesterov', 'amsgrad', 'maximize', 'capturable', 'differentiable')

#: Group entries that a decoupled optimizer does not have: those, and how
#: torch computes, not what; AdamW says by the last that it is no Adam.
DROPPED_OPTIONS = (*_REFUSED, 'foreach', 'fused', 'decoupled_weight_decay')


def refused_options(group: Mapping[str, Any]) -> List[str]:
    """Return the names of a group's options that cannot be honoured."""
    return [name for name in _REFUSED if group.get(name)]
