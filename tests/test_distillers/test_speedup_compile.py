"""A part of a teacher that torch.compile compiles."""
import copy
import pickle

import pytest
import torch
from torch import nn

from mmdeepkd.distillers.speedup import Speedup
from tests.helpers.dense import OFF, accelerated, images

COMPILED = Speedup(compile=True)


@pytest.fixture
def compiler(monkeypatch):
    """Stand for torch.compile; note what its functions give."""
    def compiling(function):
        def run(*args, **kwargs):
            gives = function(*args, **kwargs)
            run.results.append(gives)
            return gives

        run.results = []
        made.append(run)
        return run

    made = []
    monkeypatch.setattr(torch, 'compile', compiling)
    return made


def test_a_compiled_module_gives_the_same(logged):
    class Small(nn.Module):

        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(x).sigmoid()

    inner = Small()
    module = accelerated(OFF._replace(compile=True), inner)
    for _ in range(2):
        x = torch.randn(2, 4)
        torch.testing.assert_close(module(x), inner(x))

    assert list(module.state_dict()) == ['inner.fc.weight', 'inner.fc.bias']
    assert ', compiled; largest relative difference ' in logged[0]


def test_a_compiler_that_fails_is_named(monkeypatch):
    def refuse(*args):
        raise OSError('no C++ compiler')

    monkeypatch.setattr(torch, 'compile', lambda function: refuse)
    with pytest.raises(RuntimeError, match=(
            r'teacher_speedup cannot run the backbone of the teacher '
            r'\(OSError: no C\+\+ compiler\): in teacher_speedup set '
            r'compile=False\.$')):
        accelerated(Speedup(compile=True))(images())


def test_another_result_of_a_compiler_is_an_error(monkeypatch):
    monkeypatch.setattr(
        torch, 'compile', lambda function: lambda x: [
            y * 1.5 for y in function(x)])
    with pytest.raises(RuntimeError, match=(
            r'changes what the backbone of the teacher gives by 0\.5 of the '
            r'largest value on the first batch, where rounding explains '
            r'0\.001: in teacher_speedup set compile=False\.$')):
        accelerated(COMPILED)(images())


@pytest.mark.parametrize('amp', [None, 'bf16'])
def test_the_compiled_function_is_what_runs(amp, compiler):
    module = accelerated(COMPILED._replace(amp=amp))
    for _ in range(3):
        module(images())

    function, = compiler
    # Of the first batch one result was compared, in the format that runs.
    assert len(function.results) == 4
    # Each in the type that runs: nothing is compiled only to be compared.
    assert {y.low.dtype for y in function.results} == {
        torch.float32 if amp is None else torch.bfloat16}


@pytest.mark.parametrize('again', [
    copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
    ids=['deepcopy', 'pickle'])
def test_a_copy_runs_its_own_weights(again, compiler):
    module = accelerated(COMPILED)
    expected = module(images())
    twin = again(module)
    twin.conv.weight.zero_()
    twin.conv.bias.zero_()

    assert not twin(images()).low.any()
    assert len(compiler) == 2
    torch.testing.assert_close(module(images()), expected)
