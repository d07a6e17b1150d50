"""Where a classifier's logits are, and the ones its loss computed."""
from contextlib import contextmanager
from typing import Any, Iterator, List, Optional

from mmpretrain.models.classifiers import HuggingFaceClassifier, TimmClassifier
from mmpretrain.models.heads import ArcFaceClsHead, ClsHead
from mmpretrain.models.losses import FocalLoss
from torch import Tensor, nn

from mmdeepkd.distillers import Classes, ClassMap, ClassMapping, Root

# Classifiers that only wrap the network of another library.
_WRAPPERS = (TimmClassifier, HuggingFaceClassifier)


def network_of(classifier: nn.Module) -> nn.Module:
    """Return the module whose names a classifier's checkpoint has.

    mmpretrain's TimmClassifier saves and loads the names of the timm model.

    Args:
        classifier: Any of mmpretrain's.
    """
    if isinstance(classifier, _WRAPPERS):
        return classifier.model
    return classifier


def teacher_roots(classifier: nn.Module) -> List[Root]:
    """Return the dense parts of a classifier.

    Its head stays as it is: one small matrix product, whose result are the
    logits.

    Args:
        classifier: The teacher.
    """
    if isinstance(classifier, _WRAPPERS):
        return [Root('model', contiguous=True)]
    return [
        Root(name, contiguous=True) for name in ('backbone', 'neck')
        if getattr(classifier, name, None) is not None
    ]


def logits_module(classifier: nn.Module, role: str) -> nn.Module:
    """Return the module of a single-label classifier that gives its logits.

    Args:
        classifier: Student or teacher.
        role: ``'student'`` or ``'teacher'``.

    Raises:
        TypeError: It has no head that gives one row of logits per image, or
            one that trains other logits than it predicts with.
        ValueError: Its loss is not a softmax loss.
    """
    if isinstance(classifier, _WRAPPERS):
        module, loss = classifier.model, classifier.loss_module
    else:
        module = getattr(classifier, 'head', None)
        if not isinstance(module, ClsHead):
            raise TypeError(
                'losses on logits need single-label classifiers, whose head '
                f"is one of mmpretrain's ClsHead family; the {role} "
                f'{type(classifier).__name__} has '
                f'{"none" if module is None else type(module).__name__}: use '
                'such a head, TimmClassifier for a timm model, or losses on '
                'maps alone, such as mmdeepkd.DiffKDLoss.')
        if role == 'student' and isinstance(module, ArcFaceClsHead):
            raise TypeError(
                f'the student has a {type(module).__name__}, whose loss '
                'lowers the logit of the target class by a margin, so that '
                'its logits are not those it predicts with: use a head '
                'without margin, such as LinearClsHead.')
        loss = module.loss_module
    if any(getattr(part, 'use_sigmoid', False) or isinstance(part, FocalLoss)
           for part in loss.modules()):
        raise ValueError(
            f'the head of the {role} trains sigmoid logits '
            f'({type(loss).__name__}); losses on logits are defined for '
            'softmax logits: use a softmax cross entropy as its loss, or '
            'losses on maps alone, such as mmdeepkd.DiffKDLoss.')
    return module


def count_logits(module: nn.Module, role: str) -> int:
    """Return the number of classes a module says it has.

    Args:
        module: What :func:`logits_module` returned.
        role: ``'student'`` or ``'teacher'``.

    Raises:
        TypeError: It does not say.
    """
    # Transformers calls it num_labels.
    for name in ('num_classes', 'num_labels'):
        count = getattr(module, name, None)
        if count is not None:
            return int(count)
    raise TypeError(
        f'the {type(module).__name__} of the {role} does not say how many '
        'classes it has: use a head with an attribute num_classes, such as '
        'LinearClsHead.')


def map_classes(student: nn.Module, teacher: nn.Module,
                mapping: Optional[ClassMapping]) -> ClassMap:
    """Return the classes that student and teacher share.

    Args:
        student: Both are classifiers.
        teacher: The same.
        mapping: ``teacher_class_map``, or None.

    Raises:
        TypeError: A model gives no softmax logits of known number.
        ValueError: The classes do not fit.
    """
    own = count_logits(logits_module(student, 'student'), 'student')
    other = count_logits(logits_module(teacher, 'teacher'), 'teacher')
    names = network_of(teacher).class_names
    return ClassMap(
        mapping, Classes(own, other, names, 'num_classes'), background=False)


def check_logits(outputs: List[Any], num_logits: int, role: str) -> Tensor:
    """Return the logits among the outputs of one pass, or raise.

    Args:
        outputs: What the module gave, call by call.
        num_logits: C.
        role: ``'student'`` or ``'teacher'``.

    Returns:
        (N, C).

    Raises:
        TypeError: The module did not run exactly once, or gave no (N, C)
            tensor.
    """
    if len(outputs) != 1:
        raise TypeError(
            f'the head of the {role} ran {len(outputs)} times in its loss, so '
            'that its logits are unknown: use a head whose loss calls the '
            "head itself once, as mmpretrain's ClsHead does.")
    logits = getattr(outputs[0], 'logits', outputs[0])
    if not isinstance(logits, Tensor):
        found = f'a {type(logits).__name__}'
    elif logits.dim() != 2 or logits.size(1) != num_logits:
        found = f'the shape {tuple(logits.shape)}'
    else:
        return logits
    raise TypeError(
        f'the head of the {role} gave {found}, not one tensor of shape '
        f'(N, {num_logits}): use a head with one row of logits per image.')


class LogitCapture:
    """Records what a module gives while a loss is computed.

    Args:
        module: What :func:`logits_module` returned.
    """

    def __init__(self, module: nn.Module) -> None:
        self._active = False
        self._outputs: List[Any] = []
        module.register_forward_hook(self._on_output)

    @contextmanager
    def recording(self) -> Iterator[List[Any]]:
        """Collect the outputs of the calls inside."""
        self._outputs = outputs = []
        self._active = True
        try:
            yield outputs
        finally:
            # Tensors with a graph cannot be deep-copied (EMA), and must not
            # outlive the iteration.
            self._active, self._outputs = False, []

    def _on_output(self, module: nn.Module, args: Any, output: Any) -> None:
        if self._active:
            self._outputs.append(output)
