"""Without mmdet everything else works, and detection says what to do."""
import pytest

import mmdeepkd
from tests.helpers.processes import run_python

# A module that is None in sys.modules is not installed to find_spec either.
HIDE = """
import sys
for name in ('mmdet', 'mmcv', 'mmpretrain'):
    sys.modules[name] = None
"""
USE_THE_REST = """
import torch
import mmdeepkd
from mmdeepkd import checkpoints, distillers, engine, functional, losses
from mmengine.registry import HOOKS, MODELS
loss = MODELS.build(dict(type='mmdeepkd.DeepKDLoss', topk=2))
net = torch.nn.Linear(3, 5)
wrapper = engine.DeepKDOptimWrapper(
    torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9), delta=0.05)
before = net.weight.clone()
logits = net(torch.ones(4, 3))
streams = loss(logits, torch.randn(4, 5), torch.arange(4))
wrapper.update_params(dict(task=logits.sum(), **streams))
assert not torch.equal(net.weight, before)
HOOKS.build(dict(type='mmdeepkd.DynamicTopKHook'))
"""
ASK_FOR_DETECTION = """
from mmengine.registry import MODELS
import mmdeepkd
for build in (lambda: mmdeepkd.DetectorDistiller(student={}, teacher={}),
              lambda: MODELS.build(dict(type='mmdeepkd.DetectorDistiller',
                                        teacher={}))):
    try:
        build()
    except ImportError as error:
        assert 'mmdeepkd.DetectorDistiller needs mmdet' in str(error)
        assert 'pip install "mmdet>=3.3"' in str(error)
    else:
        raise AssertionError('it was built')
"""


def test_the_rest_works(tmp_path):
    run_python(HIDE + USE_THE_REST, cwd=tmp_path)


def test_a_detector_says_what_to_install(tmp_path):
    run_python(HIDE + ASK_FOR_DETECTION, cwd=tmp_path)


def test_importing_the_package_loads_nothing_heavy(tmp_path):
    code = ('import sys, mmdeepkd; '
            'heavy = {"torch", "mmengine", "mmdet"} & set(sys.modules); '
            'assert not heavy, heavy')
    run_python(code, cwd=tmp_path)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Distiler'"):
        mmdeepkd.Distiler  # noqa: B018
