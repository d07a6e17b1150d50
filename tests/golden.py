"""Golden files: how to read them and how closely to compare."""
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent / 'data' / 'golden'


def names(pattern: str) -> List[str]:
    """Return the sorted names of the golden files that match a pattern."""
    found = sorted(path.stem for path in FOLDER.glob(f'{pattern}.npz'))
    assert found, f'no golden file matches {pattern}'
    return found


def load(name: str) -> Dict[str, Any]:
    """Return a golden file: arrays as tensors, 0-d entries as scalars."""
    with np.load(FOLDER / f'{name}.npz', allow_pickle=False) as data:
        return {
            key: torch.from_numpy(data[key]) if data[key].ndim else
            data[key].item()
            for key in data.files
        }


def _compare(actual: Tensor, expected: Any, rtol: float, atol: float,
             name: str) -> None:
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(
        actual.detach().double(),
        expected,
        rtol=rtol,
        atol=atol,
        msg=lambda text: f'{name}\n{text}')


def is_finite(value: Any) -> bool:
    """Return whether the reference produced only finite numbers."""
    return bool(torch.as_tensor(value).isfinite().all())


def check_value(actual: Tensor, data: Dict[str, Any], key: str) -> None:
    """Compare a value with the reference's at the README's tolerances."""
    rtol, atol = {'float64': (1e-8, 1e-10), 'float32': (2e-4, 5e-5)}[
        data['dtype']]
    _compare(actual, data[key], rtol, atol, key)


def check_grad(actual: Tensor, data: Dict[str, Any], key: str) -> None:
    """Compare a gradient with the reference's at the README's tolerances."""
    rtol, atol = {'float64': (1e-8, 1e-10), 'float32': (1e-3, 1e-5)}[
        data['dtype']]
    _compare(actual, data[key], rtol, atol, key)


def check_stable(actual: Tensor, data: Dict[str, Any], key: str) -> None:
    """Compare with a float64 log-space value, of extreme inputs too."""
    rtol, atol = {'float64': (1e-6, 1e-10), 'float32': (1e-3, 5e-5)}[
        data['dtype']]
    _compare(actual, data[key], rtol, atol, key)


def check_diffusion(actual: Tensor, data: Dict[str, Any], key: str) -> None:
    """Compare a value or gradient of DiffKD at the README's tolerances."""
    rtol, atol = {'float64': (1e-7, 1e-9), 'float32': (1e-3, 1e-4)}[
        data['dtype']]
    _compare(actual, data[key], rtol, atol, key)
