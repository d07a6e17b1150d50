"""The losses of a distiller, and what they are called with."""
from typing import Any, Dict, List, Mapping, Sequence

from torch import Tensor, nn

# Of every loss on logits, in this order.
_ARGUMENTS = ('logits_student', 'logits_teacher', 'target', 'weight')


def losses_of(model: Any) -> Sequence[Any]:
    """Return the distillation losses; a model that names none has none.

    Args:
        model: Without wrappers.
    """
    # `losses` of other models is anything.
    losses: Sequence[Any] = (
        model.losses if hasattr(model, 'loss_names') else [])
    return losses


def inner_loss(loss: Any) -> Any:
    """Return the loss that one on some of the rows applies to them.

    Args:
        loss: Such as a :class:`~mmdeepkd.losses.ForegroundLoss`; any other
            is returned itself.
    """
    inner = getattr(loss, 'loss', None)
    return inner if isinstance(inner, nn.Module) else loss


def called_with(args: Sequence[Any],
                kwargs: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what a loss on logits is called with, by name.

    Args:
        args: The arguments by position.
        kwargs: Those by name.

    Returns:
        ``{name: argument}``, of logits_student, logits_teacher, target and
        weight those that are given.
    """
    return {**dict(zip(_ARGUMENTS, args)), **kwargs}


def views_of(logits: Any) -> List[Tensor]:
    """Return the logits of each view.

    Args:
        logits: A tensor, or one per view.
    """
    return list(logits) if isinstance(logits, (list, tuple)) else [logits]
