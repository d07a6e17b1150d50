"""A model config from a dict, a config file or ``package::path``."""
import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, Union

from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.logging import MMLogger

ModelConfig = Union[str, Path, Dict[str, Any]]


def resolve_model_config(config: ModelConfig, role: str) -> ConfigDict:
    """Return the config of a model, as a copy.

    Args:
        config: A model dict, the path of a config file, or
            ``'package::path'`` such as
            ``'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'``. If the
            file configures a distiller, its student is meant.
        role: ``'student'`` or ``'teacher'``, for messages.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: The package of ``package::path`` is not installed.
        TypeError: It is none of the three.
        KeyError: The file has no ``model``.
    """
    if isinstance(config, dict):
        return ConfigDict(copy.deepcopy(config))
    if not isinstance(config, (str, Path)):
        raise TypeError(f'{role} must be a model dict, a config path or '
                        f"'package::path', got {type(config).__name__}.")
    loaded = _load(str(config), role)
    if 'model' not in loaded:
        raise KeyError(f'the config {config} given as {role} has no `model`.')
    model = loaded.model
    if 'student' in model:
        model = student_config(model, role)
    if 'data_preprocessor' in loaded:
        # mmpretrain keeps it beside the model; its Runner moves it in.
        model.setdefault('data_preprocessor', loaded.data_preprocessor)
    if 'default_scope' in loaded:
        # Its types are named from there, whatever the scope of the run.
        model.setdefault('_scope_', loaded.default_scope)
    return ConfigDict(copy.deepcopy(model))


def student_config(distiller: Dict[str, Any],
                   role: str = 'student') -> ConfigDict:
    """Return the student of a distiller, with its preprocessor, as a copy.

    Where the student has no preprocessor the distiller's is its own; where
    both have one, and another, the student's is kept and a warning logged.

    Args:
        distiller: ``student`` and perhaps ``data_preprocessor``.
        role: ``'student'`` or ``'teacher'``, for messages.

    Raises:
        FileNotFoundError, ImportError, TypeError, KeyError: As of
            :func:`resolve_model_config`.
    """
    student = resolve_model_config(distiller['student'], role)
    given = copy.deepcopy(distiller.get('data_preprocessor'))
    if given is not None:
        own = student.setdefault('data_preprocessor', given)
        if own != given:
            MMLogger.get_current_instance().warning(
                f'the {role} has a data_preprocessor of its own, {own}, '
                f'which is used instead of that of the run, {given}.')
    return student


def _load(path: str, role: str) -> Config:
    if '::' in path:
        package = path.split('::')[0]
        if find_spec(package) is None:
            raise ImportError(
                f'the {role} config {path} needs the package {package}: '
                f'install it with `pip install {package}`.')
        return get_config(path)
    path = str(Path(path).expanduser())
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'there is no {role} config {path} (relative to '
            f'{Path.cwd()}); give a file, or a shipped one as '
            "'mmdet::path'.")
    return Config.fromfile(path)
