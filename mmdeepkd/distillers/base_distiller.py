"""What every distiller does, whatever the task."""
from abc import abstractmethod
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmdeepkd.registry import MODELS

from .channels_last import (
    images_channels_last,
    plain_format,
    to_channels_last,
)
from .loss_keeper import LossKeeper
from .model_config import ModelConfig, resolve_model_config, student_config
from .speedup import Root, accelerate, is_accelerated, parse_speedup
from .stream_losses import Losses
from .student_init import inherit_parts, parse_student_init
from .teacher import build_teacher


class BaseDistiller(LossKeeper):
    """A student with a frozen teacher and distillation losses.

    The distiller *is* the student to everyone else: parameter names,
    ``paramwise_cfg`` keys, checkpoints, predictions and methods are the plain
    student's. The teacher is in none of them.

    Its ``parse_losses`` returns the total with an attribute ``streams``,
    ``{stream: scalar}``: MMEngine's own OptimWrapper trains on the total,
    ``DeepKDOptimWrapper`` on the streams.

    Args:
        student: Model dict, config path or ``package::path``.
        teacher: The same, for the teacher.
        teacher_checkpoint: Path or URL of the teacher's weights; every tensor
            must match.
        losses: One distillation loss config or a list.
        task_weight: Weight of the student's own losses.
        student_init: ``dict(inherit=[...], strict=True)``: parts the student
            takes over from the teacher. None: only its own initialisation.
        data_preprocessor: The student's, if its config has none (MMEngine
            passes the one of the top level).
        init_cfg: Initialisation of the student, instead of its own.
        teacher_speedup: ``dict(channels_last=True, fold_bn=True, amp=None,
            compile=False)`` or some of it: how the dense parts of the teacher
            are made faster, from the first batch on. ``amp`` is 'bf16',
            'fp16' (on GPUs) or None. Without it what the teacher gives
            changes by rounding, which is checked on the first batch. None:
            the teacher runs as loaded. A key that is set on the command line
            (``--cfg-options model.teacher_speedup.amp=bf16``), in a config
            without the option, turns the defaults of the others on as well.
        channels_last: Whether the student's convolutions run in torch's
            channels_last format. Its results change by rounding, and random
            masks (dropout) fall on other elements of a map.

    Raises:
        ValueError: An argument is missing or contradicts another.
        RuntimeError: The teacher's checkpoint does not match.
    """

    #: Scope of student and teacher, where the run's config sets none.
    model_scope: str
    #: Set by PlainCheckpointHook.
    plain_checkpoints = False

    def __init__(self,
                 student: ModelConfig,
                 teacher: ModelConfig,
                 teacher_checkpoint: Optional[str],
                 losses: Union[Dict[str, Any], List[Dict[str, Any]]],
                 task_weight: float = 1.0,
                 student_init: Optional[Dict[str, Any]] = None,
                 data_preprocessor: Optional[Dict[str, Any]] = None,
                 init_cfg: Optional[Dict[str, Any]] = None,
                 teacher_speedup: Optional[Dict[str, Any]] = None,
                 channels_last: bool = False) -> None:
        super().__init__()
        if not task_weight >= 0:
            raise ValueError(f'task_weight must be >= 0, got {task_weight}.')
        self._warned = False
        #: What makes the teacher faster, or None.
        self.teacher_speedup = parse_speedup(teacher_speedup)
        self._inherit, self._strict_inherit = parse_student_init(student_init)
        config = student_config(
            dict(student=student, data_preprocessor=data_preprocessor))
        if init_cfg is not None:
            config['init_cfg'] = init_cfg
        student = self._build(config)
        self._channels_last = bool(channels_last)
        if self._channels_last:
            to_channels_last(student)
        self._adopt(student)
        self._teacher = build_teacher(
            resolve_model_config(teacher, 'teacher'), teacher_checkpoint,
            self._build, self._teacher_network)
        #: What the teacher, and the student from it, has loaded.
        self.load_reports = [self._teacher.report]
        self._keep_losses(losses, task_weight)

    @property
    def teacher(self) -> nn.Module:
        """The frozen teacher; not a submodule."""
        return self._teacher.module

    @property
    @abstractmethod
    def num_logits(self) -> int:
        """Number of columns of the logits that are distilled."""

    @abstractmethod
    def loss(self, inputs: Any, data_samples: Any) -> Losses:
        """Return the losses of the student and of the distillation.

        Args:
            inputs: (N, C, H, W), from the student's preprocessor, or several
                views of the same images.
            data_samples: The annotations.
        """

    def forward(self,
                inputs: Any,
                data_samples: Any = None,
                mode: str = 'tensor') -> Any:
        """Distil in mode 'loss'; in other modes be the student.

        Args:
            inputs: (N, C, H, W), or what else :meth:`loss` takes.
            data_samples: Annotations.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        return self.student(inputs, data_samples, mode=mode)

    def parse_losses(
            self, losses: Losses) -> Tuple[Tensor, Dict[str, Tensor]]:
        """Sum the losses, in total and by stream; see :class:`LossKeeper`.

        Args:
            losses: What :meth:`loss` returned.
        """
        self._warn_of_pickled_state()
        return super().parse_losses(losses)

    def running_teacher(self) -> nn.Module:
        """Return the teacher as it runs, with ``teacher_speedup`` applied.

        Not before :meth:`init_weights`: the student inherits the weights that
        were loaded.
        """
        if self.teacher_speedup is not None:
            accelerate(self.teacher, self._teacher_roots(),
                       self.teacher_speedup)
        return self.teacher

    def init_weights(self) -> None:
        """Initialise the student, then let it inherit the chosen parts.

        Raises:
            RuntimeError: The teacher has no longer the weights to inherit.
        """
        with plain_format(self.student, self._channels_last):
            self.student.init_weights()
        if self._inherit:
            if is_accelerated(self.teacher):
                raise RuntimeError(
                    'student_init inherits from the teacher, whose weights '
                    'teacher_speedup has changed when it first ran: call '
                    'init_weights before, or leave teacher_speedup out.')
            self.load_reports.append(
                inherit_parts(self.student, self.teacher, self._inherit,
                              self._strict_inherit))

    def train(self, mode: bool = True) -> 'BaseDistiller':
        """Switch the student (its own rules apply), never the teacher.

        Args:
            mode: Training or evaluation.
        """
        super().train(mode)
        self.student.train(mode)
        return self

    def _student_inputs(self, inputs: Tensor) -> Tensor:
        """Return images in the format of the student's weights."""
        return images_channels_last(inputs) if self._channels_last else inputs

    def _teacher_network(self, teacher: nn.Module) -> nn.Module:
        """Return the module whose tensors a teacher's checkpoint names."""
        return teacher

    def _teacher_roots(self) -> List[Root]:
        """Return the dense parts of the teacher that it runs."""
        raise TypeError(
            f'{type(self).__name__} does not say which parts of its teacher '
            'teacher_speedup is for: override _teacher_roots, or leave '
            'teacher_speedup out.')

    def _build(self, config: ConfigDict) -> nn.Module:
        # In a run the scope of its config, which may be a project's own.
        current = DefaultScope.get_current_instance()
        scope = None if current is None else current.scope_name
        if scope in (None, 'mmengine', 'mmdeepkd'):
            scope = self.model_scope
        with DefaultScope.overwrite_default_scope(scope):
            return MODELS.build(config)

    def _apply(self, fn: Callable[[Tensor], Tensor],
               recurse: bool = True) -> 'BaseDistiller':
        """Move the teacher along (``to``, ``cuda``, ``half``, ...)."""
        super()._apply(fn, recurse)
        if self._teacher.owned:
            self.teacher._apply(fn, recurse)
        return self

    def _set_device(self, device: Any) -> None:
        super()._set_device(device)
        if self._teacher.owned:
            self.teacher._set_device(device)

    def _warn_of_pickled_state(self) -> None:
        if self.plain_checkpoints or self._warned:
            return
        self._warned = True
        MMLogger.get_current_instance().warning(
            f'PlainCheckpointHook is not in use: plain {self.model_scope} '
            'cannot open the checkpoints of this run with the safe default '
            "of torch >= 2.6; set runner_type='mmdeepkd.DistillRunner' in the "
            'config.')
