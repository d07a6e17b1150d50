"""The parameters of an optimizer by the part of the model they are in."""
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from torch import Tensor, nn

from .adapters import ADAPTERS

#: ``{name of a part: prefix or prefixes of its parameters' names}``
Parts = Mapping[str, Union[str, Sequence[str]]]

# Stages are worth a line each, the blocks of a deep network are not.
_MOST_PARTS = 12


def check_parts(parts: Any, owner: str) -> Parts:
    """Return parts that have the form of :data:`Parts`.

    Args:
        parts: What is given for them.
        owner: Whose they are, for the message.

    Raises:
        TypeError: They are no dict, or a prefix is no text.
        ValueError: There is no part, or one without a prefix.
    """
    if not isinstance(parts, Mapping):
        raise TypeError(
            f'{owner} has parts={parts!r} but needs a dict, {{name: prefix '
            "or list of prefixes}, such as dict(stem='backbone.conv1').")
    if not parts:
        raise ValueError(f'{owner} has parts without a part: name one, or '
                         'leave parts out for those of the model.')
    for part, given in parts.items():
        prefixes = [given] if isinstance(given, str) else given
        if not isinstance(prefixes, (list, tuple)) or not all(
                isinstance(prefix, str) for prefix in prefixes):
            raise TypeError(
                f'{owner} has parts[{part!r}]={given!r} but needs a prefix '
                'of names of parameters, or a list of them.')
        if not prefixes:
            raise ValueError(f'{owner} has parts[{part!r}]={given!r}: give '
                             'it a prefix, or leave the part out.')
    return parts


def split_by_part(model: nn.Module, params: Sequence[Tensor],
                  parts: Optional[Parts] = None) -> Dict[str, List[int]]:
    """Return which parameters are in which part of a model.

    Args:
        model: Without wrappers.
        params: The parameters, in the order of the indices; those that the
            model does not name are in no part.
        parts: See :class:`~mmdeepkd.engine.GSNRHook`; None: the children of
            the model, the backbone split into its stages.

    Returns:
        ``{part: indices of parameters}``.

    Raises:
        ValueError: A prefix matches no parameter.
    """
    known = {id(param): name for name, param in model.named_parameters()}
    names = {i: known[id(param)] for i, param in enumerate(params)
             if id(param) in known}
    if parts is None:
        prefixes = {prefix: [prefix]
                    for prefix in _own_parts(list(names.values()))}
    else:
        prefixes = {part: [given] if isinstance(given, str) else list(given)
                    for part, given in parts.items()}
    for part, wanted in prefixes.items():
        for prefix in wanted:
            if not any(_inside(name, prefix) for name in names.values()):
                raise ValueError(
                    f'parts[{part!r}] has the prefix {prefix!r}, with which '
                    'no name of a parameter in the optimizer begins: choose '
                    f'from {", ".join(_own_parts(list(names.values())))}, or '
                    'what is below them.')
    return {
        part: [i for i, name in names.items()
               if any(_inside(name, prefix) for prefix in wanted)]
        for part, wanted in prefixes.items()
    }


def _own_parts(names: Sequence[str]) -> List[str]:
    """Return the prefixes of a model's parts."""
    found: List[str] = []
    children = _children(names, '')
    # Adapters stand beside the model, however few its children are.
    alone = len([child for child in children if child != ADAPTERS]) == 1
    for child in children:
        split = child == 'backbone' or (alone and child != ADAPTERS)
        found += _stages(names, child) if split else [child]
    return found


def _stages(names: Sequence[str], prefix: str) -> List[str]:
    """Return the prefixes of a backbone's parts, or its own."""
    children = _children(names, prefix)
    while len(children) == 1 and _children(names, children[0]):
        children = _children(names, children[0])
    if not children:
        return [prefix]
    numbered = [child for child in children if _is_numbered(names, child)]
    choices = [children, [prefix]]
    if len(numbered) == 1:
        # A list of stages, as in a Swin transformer. Several (`layer1`, ...
        # of a ResNet) are lists of blocks, and stages themselves.
        choices.insert(0, [
            part for child in children for part in (
                _children(names, child) if child in numbered else [child])])
    return next(choice for choice in choices if len(choice) <= _MOST_PARTS)


def _is_numbered(names: Sequence[str], prefix: str) -> bool:
    """Whether it is a list of modules."""
    inner = _children(names, prefix)
    return bool(inner) and all(
        child.rpartition('.')[2].isdigit() for child in inner)


def _children(names: Sequence[str], prefix: str) -> List[str]:
    """Return the prefixes one component longer, in order."""
    start = f'{prefix}.' if prefix else ''
    return list(dict.fromkeys(
        start + name[len(start):].split('.')[0] for name in names
        if name.startswith(start)))


def _inside(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f'{prefix}.')
