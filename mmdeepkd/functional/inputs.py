"""What every formula asks of its inputs, and the precision it works in."""
import math
from typing import Optional, Tuple

import torch
from torch import Tensor


def without_autocast(logits: Tensor) -> torch.autocast:
    """Return a context that switches autocast off on the logits' device."""
    return torch.autocast(logits.device.type, enabled=False)


def autocast_dtype(device: torch.device) -> Optional[torch.dtype]:
    """Return what autocast casts to on a device; None where it is off."""
    kind = device.type
    if hasattr(torch, 'get_autocast_dtype'):
        return torch.get_autocast_dtype(kind) if (
            torch.is_autocast_enabled(kind)) else None
    # Before torch 2.4.
    if kind == 'cpu':
        return torch.get_autocast_cpu_dtype() if (
            torch.is_autocast_cpu_enabled()) else None
    return torch.get_autocast_gpu_dtype() if (
        torch.is_autocast_enabled()) else None


def upcast(logits: Tensor) -> Tensor:
    """Return half-precision logits in float32, any others as they are."""
    return logits.to(wide(logits.dtype))


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return what :func:`upcast` makes of a dtype: float32 or wider."""
    return torch.float32 if torch.finfo(dtype).bits < 32 else dtype


def check_logits(logits: Tensor, name: str) -> None:
    """Raise unless ``logits`` is a floating (N, C) tensor with C >= 2."""
    if logits.dim() != 2:
        raise ValueError(f'{name} has shape {tuple(logits.shape)} but must be '
                         '(N, C): flatten every other dimension into N.')
    if not logits.is_floating_point():
        raise TypeError(f'{name} has dtype {logits.dtype} but must be '
                        'floating: pass logits, not labels.')
    if logits.size(1) < 2:
        raise ValueError(f'{name} has {logits.size(1)} class columns but '
                         'softmax distillation needs at least 2: include the '
                         'background column, or use a feature loss.')


def check_logits_pair(logits_student: Tensor, logits_teacher: Tensor) -> None:
    """Raise unless both are floating logits of one shape (N, C)."""
    check_logits(logits_student, 'logits_student')
    check_logits(logits_teacher, 'logits_teacher')
    if logits_student.shape != logits_teacher.shape:
        raise ValueError(
            f'logits_student has shape {tuple(logits_student.shape)} and '
            f'logits_teacher {tuple(logits_teacher.shape)}: give student and '
            'teacher the same samples and the same classes.')


def check_target(target: Tensor, logits: Tensor) -> None:
    """Raise unless ``target`` holds one int64 class index per row.

    The range is checked on the CPU only: elsewhere reading it would make
    the host wait for the device in every iteration, and ``gather`` and
    ``scatter`` assert it there.
    """
    num_rows, num_classes = logits.shape
    if target.dtype != torch.int64:
        raise TypeError(f'target has dtype {target.dtype} but must be int64 '
                        'class indices: call target.long().')
    if target.shape != (num_rows, ):
        raise ValueError(f'target has shape {tuple(target.shape)} but must '
                         f'be ({num_rows},): one class index per row of '
                         'the logits.')
    if target.device.type == 'cpu' and num_rows:
        low, high = (int(end) for end in target.aminmax())
        if low < 0 or high >= num_classes:
            raise ValueError(
                f'target holds class {low if low < 0 else high} but the '
                f'logits have columns 0 to {num_classes - 1}: drop ignored '
                'rows, and count the background as the last column.')


def check_temperature(temperature: float) -> None:
    """Raise unless ``temperature`` is positive and finite."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f'temperature is {temperature} but must be positive '
                         'and finite: published values are 1 to 4.')


def check_sample_weight(weight: Tensor, num_rows: int) -> None:
    """Raise unless ``weight`` holds one number per sample."""
    if weight.shape != (num_rows, ):
        raise ValueError(f'weight has shape {tuple(weight.shape)} but must '
                         f'be ({num_rows},): one weight per sample.')


def check_int(value: int, name: str) -> None:
    """Raise unless ``value``, a number of classes, is an int."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{name} is {value!r} but must be an int: it counts '
                        'classes.')


def check_choice(value: str, name: str, choices: Tuple[str, ...]) -> None:
    """Raise unless an option is one of its choices."""
    if value not in choices:
        raise ValueError(f'{name} is {value!r} but must be one of {choices}.')


def one_hot(target: Tensor, logits: Tensor) -> Tensor:
    """Return the bool (N, C) mask of each row's target column."""
    mask = torch.zeros_like(logits, dtype=torch.bool)
    return mask.scatter_(1, target.unsqueeze(1), True)
