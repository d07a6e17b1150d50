"""Tests of float16 on the CPU, which torch has from 2.3 on."""
import functools

import pytest
import torch

AVAILABLE = hasattr(torch.amp, 'GradScaler')

# What torch.autocast can do on the CPU.
AUTOCAST = torch.float16 if AVAILABLE else torch.bfloat16


def or_refused(test):
    """Where there is no float16, check that the test is told so."""
    if AVAILABLE:
        return test

    @functools.wraps(test)
    def refused(*args, **kwargs):
        with pytest.raises(ValueError, match=(
                r'^float16 on the CPU needs torch >= 2\.3 .*bfloat16')):
            test(*args, **kwargs)

    return refused
