"""Folding BatchNorms into convolutions, as one forward pass shows them."""
import weakref
from collections import Counter, defaultdict
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from mmengine.utils.dl_utils.parrots_wrapper import SyncBatchNorm
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from .tensors import tensors_in

# Exactly these: a subclass may do more than its name says, such as timm's
# BatchNormAct2d, which ends with an activation.
_CONVS = (nn.Conv2d, )
# OpenMMLab's SyncBN is torch's with another check of the dimensions.
_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, SyncBatchNorm)


class Pair(NamedTuple):
    """A convolution and the BatchNorm that alone reads its output."""

    conv: nn.Conv2d
    norm: nn.Module


class _Watch(TorchFunctionMode):
    """Follows the outputs of convolutions through one forward pass.

    Args:
        root: The module that runs.
    """

    def __init__(self, root: nn.Module) -> None:
        super().__init__()
        # By id; the reference tells whether the id is still that tensor's.
        self._outputs: Dict[int, Tuple[Any, nn.Module]] = {}
        self._norms: Dict[nn.Module, List[nn.Module]] = defaultdict(list)
        self._calls: Dict[nn.Module, int] = Counter()
        self._read: Dict[nn.Module, int] = Counter()
        self._inside: Optional[nn.Module] = None
        self._handles = []
        for module in root.modules():
            # A hook of somebody else sees, or changes, what is folded away.
            if module._forward_hooks or module._forward_pre_hooks:
                continue
            if type(module) in _CONVS:
                self._handles.append(
                    module.register_forward_hook(self._after_conv))
            elif type(module) in _NORMS and _is_constant(module):
                self._handles += [
                    module.register_forward_pre_hook(self._before_norm),
                    module.register_forward_hook(self._after_norm)
                ]

    def remove(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()

    def pairs(self, outputs: Any) -> List[Pair]:
        """Return what can be folded.

        Args:
            outputs: What the module gave; a tensor in it is read by others.
        """
        returned = {self._conv_of(tensor) for tensor in tensors_in(outputs)}
        return [
            Pair(conv, norms[0]) for conv, norms in self._norms.items()
            if conv not in returned and len(norms) == 1 and
            self._read[conv] == 0 and
            self._calls[conv] == self._calls[norms[0]] == 1
        ]

    def __torch_function__(self, func: Callable[..., Any], types: Any,
                           args: Any = (), kwargs: Any = None) -> Any:
        """Count what reads the output of a convolution.

        Args:
            func: The function of torch.
            types: Classes of its arguments.
            args: Its arguments.
            kwargs: Its named arguments.
        """
        kwargs = kwargs or {}
        for tensor in tensors_in([args, kwargs]):
            conv = self._conv_of(tensor)
            if conv is not None and conv is not self._inside:
                self._read[conv] += 1
        return func(*args, **kwargs)

    def _conv_of(self, tensor: Tensor) -> Optional[nn.Module]:
        """Return the convolution whose output a tensor is."""
        reference, conv = self._outputs.get(id(tensor), (None, None))
        return conv if reference is not None and reference() is tensor else (
            None)

    def _after_conv(self, conv: nn.Module, args: Any, output: Tensor) -> None:
        self._calls[conv] += 1
        self._outputs[id(output)] = weakref.ref(output), conv

    def _before_norm(self, norm: nn.Module, args: Any) -> None:
        self._calls[norm] += 1
        conv = self._conv_of(args[0]) if args else None
        if conv is not None:
            self._norms[conv].append(norm)
        # What reads this output from here on is the BatchNorm.
        self._inside = conv

    def _after_norm(self, norm: nn.Module, args: Any, output: Any) -> None:
        self._inside = None


def find_pairs(root: nn.Module,
               run: Callable[[], Any]) -> Tuple[Any, List[Pair]]:
    """Run a module and see which BatchNorms can be folded.

    Only an ``nn.Conv2d`` and a BatchNorm of 2-D maps (synchronised or not)
    with running statistics, in eval mode, where the output of the one *is*
    the input of the other, each runs once, and nothing else reads it.

    Args:
        root: The module, in eval mode.
        run: Runs it on a batch.

    Returns:
        What ``run`` gave, and the pairs.
    """
    watch = _Watch(root)
    try:
        with watch:
            outputs = run()
        return outputs, watch.pairs(outputs)
    finally:
        watch.remove()


def fold(root: nn.Module, pairs: List[Pair]) -> None:
    """Replace each pair by one convolution.

    Args:
        root: The module; changed in place.
        pairs: Of :func:`find_pairs`.
    """
    new: Dict[nn.Module, nn.Module] = {}
    for conv, norm in pairs:
        new[conv] = fuse_conv_bn_eval(conv, norm)
        new[norm] = nn.Identity().eval()
    # A module may be registered under several names.
    for name, module in list(root.named_modules(remove_duplicate=False)):
        if module in new:
            parent, _, own = name.rpartition('.')
            setattr(root.get_submodule(parent), own, new[module])


def count_norms(root: nn.Module) -> int:
    """Return how many BatchNorms of any kind a module has.

    Args:
        root: The module.
    """
    kind = nn.modules.batchnorm._BatchNorm
    return sum(isinstance(module, kind) for module in root.modules())


def _is_constant(norm: nn.Module) -> bool:
    return not norm.training and norm.running_mean is not None and (
        norm.running_var is not None)
