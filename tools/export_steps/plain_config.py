"""The config of a distillation's student alone, for plain OpenMMLab."""
import copy
from typing import Any, Dict, Iterator

from mmengine.config import Config, ConfigDict

from mmdeepkd.distillers import student_config

_OURS = 'mmdeepkd'
# What testing and inference read; the rest belongs to the training.
_KEPT = ('default_scope', 'custom_imports', 'val_dataloader', 'val_cfg',
         'val_evaluator', 'test_dataloader', 'test_cfg', 'test_evaluator',
         'test_pipeline', 'tta_model', 'tta_pipeline', 'env_cfg',
         'visualizer', 'vis_backends', 'log_processor', 'log_level',
         'default_hooks')
# Without its second view, which only training has.
_PLAIN_TYPES = {
    'mmdeepkd.TwoViewDataPreprocessor': 'mmpretrain.ClsDataPreprocessor'
}


def plain_config(cfg: Config) -> Config:
    """Return the student's config, with the data and metrics of the run.

    Args:
        cfg: Config of a distillation, or of a model without a teacher.

    Returns:
        The model and what plain mmdet or mmpretrain needs to test it. Types
        of mmdeepkd stay where the student itself, or its data, is made of
        them; :func:`own_types` lists them.
    """
    kept: Dict[str, Any] = {
        key: copy.deepcopy(cfg[key]) for key in _KEPT if key in cfg}
    kept['model'] = _student(cfg)
    if 'default_hooks' in kept:
        kept['default_hooks'] = {
            name: hook for name, hook in kept['default_hooks'].items()
            if not any(own_types(hook))}
    if 'custom_imports' in kept:
        imports = kept['custom_imports'].get('imports', [])
        imports = [imports] if isinstance(imports, str) else imports
        others = [name for name in imports if name.split('.')[0] != _OURS]
        kept['custom_imports']['imports'] = others
        if not others:
            del kept['custom_imports']
    return Config(kept)


def own_types(config: Any) -> Iterator[str]:
    """Yield the types of mmdeepkd in a config.

    Args:
        config: Nested dicts and lists.
    """
    if isinstance(config, dict):
        name = config.get('type')
        if isinstance(name, str) and name.startswith(f'{_OURS}.'):
            yield name
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for value in config:
            yield from own_types(value)


def _student(cfg: Config) -> ConfigDict:
    model = copy.deepcopy(cfg.model)
    if 'student' in model:
        model = student_config(model)
    if cfg.get('data_preprocessor') is not None:
        # As the Runner does.
        model.setdefault('data_preprocessor',
                         copy.deepcopy(cfg.data_preprocessor))
    pixels = model.get('data_preprocessor')
    if pixels is not None and pixels.get('type') in _PLAIN_TYPES:
        pixels.type = _PLAIN_TYPES[pixels.type]
    return model
