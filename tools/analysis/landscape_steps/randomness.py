"""The same random numbers every time, and none taken from anyone else."""
import random
from contextlib import contextmanager
from typing import Iterator

import numpy as np
import torch

from mmdeepkd.checkpoints import random_state, set_random_state


def seed_all(seed: int) -> None:
    """Seed Python, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def own_randomness() -> Iterator[None]:
    """Leave the generators as they were found."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)
