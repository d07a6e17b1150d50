"""The adapters of feature losses, beside the student in a distiller."""
from typing import Any, Dict, List, Sequence

from torch import Tensor

#: What a distiller calls them; their tensors are ``distill.*``.
ADAPTERS = 'distill'


def adapter_parameters(model: Any) -> Dict[str, Tensor]:
    """Return the parameters of the adapters by name; most models have none.

    Args:
        model: A distiller, or any other model; without wrappers.
    """
    # In another model the name may mean anything.
    if not hasattr(model, 'loss_names'):
        return {}
    return {name: param for name, param in model.named_parameters()
            if name.startswith(f'{ADAPTERS}.')}


def student_indices(model: Any, params: Sequence[Tensor]) -> List[int]:
    """Return which parameters are no adapter's.

    Args:
        model: As for :func:`adapter_parameters`.
        params: The parameters, in the order of the indices.
    """
    adapters = {id(param) for param in adapter_parameters(model).values()}
    return [i for i, param in enumerate(params) if id(param) not in adapters]
