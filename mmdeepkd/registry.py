"""Registries of the ``mmdeepkd`` scope, children of MMEngine's own.

A config reaches a component as ``type='mmdeepkd.Name'`` from any default
scope; MMEngine then imports this module and the locations listed here.
"""
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='mmdeepkd',
    locations=[
        'mmdeepkd.losses', 'mmdeepkd.classification', 'mmdeepkd.detection'
    ])
DATASETS = Registry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope='mmdeepkd',
    locations=['mmdeepkd.classification'])
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    scope='mmdeepkd',
    locations=['mmdeepkd.classification'])
OPTIM_WRAPPERS = Registry(
    'optim_wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope='mmdeepkd',
    locations=['mmdeepkd.engine'])
HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope='mmdeepkd',
    locations=['mmdeepkd.engine'])
RUNNERS = Registry(
    'runner',
    parent=MMENGINE_RUNNERS,
    scope='mmdeepkd',
    locations=['mmdeepkd.engine'])
LOOPS = Registry(
    'loop',
    parent=MMENGINE_LOOPS,
    scope='mmdeepkd',
    locations=['mmdeepkd.engine'])
