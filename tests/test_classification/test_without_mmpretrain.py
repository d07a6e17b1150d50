"""Without mmpretrain everything else works; without mmdet this room does."""
from tests.helpers.processes import run_python

# A module that is None in sys.modules is not installed to find_spec either.
HIDE = """
import sys
sys.modules[{package!r}] = None
"""
ASK_FOR_A_CLASSIFIER = """
from mmengine.registry import MODELS
import mmdeepkd
for build in (lambda: mmdeepkd.ClassifierDistiller(student={}, teacher={}),
              lambda: MODELS.build(dict(type='mmdeepkd.ClassifierDistiller',
                                        teacher={}))):
    try:
        build()
    except ImportError as error:
        assert 'mmdeepkd.ClassifierDistiller needs mmpretrain' in str(error)
        assert 'pip install "mmpretrain>=1.0"' in str(error)
    else:
        raise AssertionError('it was built')
"""
DISTIL_A_DETECTOR = """
import pathlib
from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import make_distiller
from tests.helpers.training import train_steps
log, = train_steps(make_distiller(pathlib.Path(), faster_rcnn(),
                                  faster_rcnn()))
assert log['target.loss_deepkd'] > 0
assert not any(name.startswith('mmpretrain.') for name in sys.modules)
"""
DISTIL_A_CLASSIFIER = """
import pathlib
from tests.helpers import classifiers
from mmdeepkd.engine import DeepKDOptimWrapper
import torch
distiller = classifiers.make_distiller(
    pathlib.Path(), classifiers.resnet(), classifiers.resnet())
wrapper = DeepKDOptimWrapper(
    torch.optim.SGD(distiller.parameters(), lr=0.1, momentum=0.9), delta=0.05)
log = distiller.train_step(classifiers.image_batch(), wrapper)
assert log['target.loss_deepkd'] > 0
assert not any(name.startswith('mmdet.') for name in sys.modules)
"""


def test_a_classifier_says_what_to_install(tmp_path):
    run_python(HIDE.format(package='mmpretrain') + ASK_FOR_A_CLASSIFIER,
               cwd=tmp_path)


def test_detectors_are_distilled_without_mmpretrain(tmp_path):
    run_python(HIDE.format(package='mmpretrain') + DISTIL_A_DETECTOR,
               cwd=tmp_path)


def test_classifiers_are_distilled_without_mmdet(tmp_path):
    run_python(HIDE.format(package='mmdet') + DISTIL_A_CLASSIFIER,
               cwd=tmp_path)
