"""How a distiller is its student to everyone else."""
from typing import Any, Dict, List

from mmengine.model import BaseModel
from torch import nn

#: The child that holds the trainable modules of the losses.
ADAPTERS = 'distill'


class StudentFront(BaseModel):
    """A model that is another one, the student, to its users.

    The student's children, parameters and buffers are registered as one's
    own, under their names. Its other public attributes and methods
    (``extract_feat``, ``get_layer_depth``, ...) are reached through this
    model, and a child that is replaced here is replaced in the student.
    """

    def _adopt(self, student: nn.Module) -> None:
        """Register the student's children as one's own."""
        taken = set(dict(student.named_children())) & {'losses', ADAPTERS}
        if taken:
            raise ValueError(f'the student has children named {taken}, names '
                             'the distiller needs for itself: rename them.')
        for name, child in student.named_children():
            self.add_module(name, child)
        # The same dict objects, so that both see a parameter replaced.
        self._parameters = student._parameters
        self._buffers = student._buffers
        # Some students rename their keys on the way to a file and back.
        self._state_dict_hooks = student._state_dict_hooks
        self._load_state_dict_pre_hooks = student._load_state_dict_pre_hooks
        # Not a child itself: names would get the prefix 'student.'. Last, for
        # from here on the student's attributes are this model's.
        object.__setattr__(self, 'student', student)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the student, if this model has none.

        Args:
            name: Private names are never the student's.
        """
        try:
            return super().__getattr__(name)
        except AttributeError:
            if hasattr(type(self), name):
                # A property that raised it: what it said would be lost.
                return object.__getattribute__(self, name)
            # Absent until adopted, and while a copy is being made.
            student = self.__dict__.get('student')
            if student is None or name.startswith('_'):
                raise
            return getattr(student, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a child of the student in the student too.

        Args:
            name: The attribute.
            value: Its value.
        """
        super().__setattr__(name, value)
        student = self.__dict__.get('student')
        if student is not None and name in student._modules:
            setattr(student, name, value)

    def _load_from_state_dict(self, state_dict: Dict[str, Any], prefix: str,
                              local_metadata: Dict[str, Any], strict: bool,
                              missing_keys: List[str],
                              unexpected_keys: List[str],
                              error_msgs: List[str]) -> None:
        """Load the student's own tensors.

        A student that renames keys (TimmClassifier) renames all it is given:
        those of the losses' modules, which are not its own, are set aside.
        """
        own = [key for key in state_dict
               if key.startswith(f'{prefix}{ADAPTERS}.')]
        aside = {key: state_dict.pop(key) for key in own}
        super()._load_from_state_dict(state_dict, prefix, local_metadata,
                                      strict, missing_keys, unexpected_keys,
                                      error_msgs)
        state_dict.update(aside)
        if strict and ADAPTERS not in self._modules:
            unexpected_keys.extend(aside)
