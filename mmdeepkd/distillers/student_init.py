"""Starting the student from named parts of the teacher."""
from typing import Any, Dict, List, Tuple

from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmdeepkd.checkpoints import LoadReport, compare_tensors


def parse_student_init(config: Any) -> Tuple[List[str], bool]:
    """Check ``student_init`` and return (parts, strict).

    Args:
        config: ``dict(inherit=['neck', ...], strict=True)`` or None.

    Raises:
        ValueError: It is anything else.
    """
    if config is None:
        return [], True
    unknown = set(config) - {'inherit', 'strict'}
    if unknown or not config.get('inherit'):
        raise ValueError(
            'student_init must be dict(inherit=[...]), a list of parts of the '
            f'student, with an optional strict=False, got {dict(config)}.')
    parts = config['inherit']
    return [parts] if isinstance(parts, str) else list(parts), bool(
        config.get('strict', True))


def inherit_parts(student: nn.Module, teacher: nn.Module, parts: List[str],
                  strict: bool) -> LoadReport:
    """Copy the tensors of named parts from the teacher to the student.

    Args:
        student: Changed in place.
        teacher: The source.
        parts: Names of modules both have, such as ``neck`` or
            ``roi_head.bbox_head``.
        strict: Raise where shapes differ, else skip and log these tensors.

    Returns:
        How many tensors each part has inherited.

    Raises:
        ValueError: A part is missing, or (strict) a tensor does not fit.
    """
    logger = MMLogger.get_current_instance()
    wanted: Dict[str, Tensor] = {}
    taught: Dict[str, Tensor] = {}
    for part in parts:
        own, source = _tensors(student, part), _tensors(teacher, part)
        for name, tensors in (('student', own), ('teacher', source)):
            if not tensors:
                raise ValueError(
                    f'student_init inherits {part!r}, which the {name} does '
                    'not have: name parts of both; the student has '
                    f'{_parts(student)}.')
        fitting = [
            key for key in own
            if key in source and own[key].shape == source[key].shape
        ]
        skipped = sorted(set(own) - set(fitting))
        if skipped and strict:
            raise ValueError(
                f'student_init cannot inherit {part!r}: {len(skipped)} of '
                f"{len(own)} tensors differ from the teacher's in shape "
                f'(first: {skipped[0]}); choose parts of equal shape, or set '
                'strict=False to skip these tensors.')
        for key in fitting:
            own[key].data.copy_(source[key])
        logger.info(f'student_init: {part} inherits {len(fitting)} of '
                    f'{len(own)} tensors from the teacher'
                    f'{"; skipped " + ", ".join(skipped) if skipped else ""}.')
        wanted.update(own)
        taught.update((key, source[key]) for key in own if key in source)
    return compare_tensors('student_init', 'the teacher', taught, wanted)


def _parts(model: nn.Module) -> str:
    names = [key.split('.')[0] for key in model.state_dict()]
    return ', '.join(dict.fromkeys(names))


def _tensors(model: nn.Module, part: str) -> Dict[str, Tensor]:
    prefix = f'{part}.'
    return {
        key: value
        for key, value in model.state_dict(keep_vars=True).items()
        if key.startswith(prefix)
    }
