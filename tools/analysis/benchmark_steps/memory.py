"""How much memory tensors take: at the peak of a function, in a state."""
import json
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterable, Set

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile


def peak_bytes(function: Callable[[], Any], device: str) -> int:
    """Return how far tensors exceed, at the peak, what was held before.

    Counted are the bytes that torch's allocator gives out. On the CPU the
    profiler logs each of them; what libraries take for themselves (oneDNN's
    scratch) is not in it.

    Args:
        function: Run once.
        device: ``'cpu'`` or a GPU.
    """
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        function()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(
            activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        # Nothing is kept: what is returned is freed inside.
        function()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        trace.export_chrome_trace(str(path))
        events = json.loads(path.read_text())['traceEvents']
    return _peak(event for event in events if event['name'] == '[memory]')


def _peak(events: Iterable[Any]) -> int:
    held = peak = 0
    for event in sorted(events, key=lambda event: event['ts']):
        held += event['args']['Bytes']
        peak = max(peak, held)
    return peak


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Return the size of an optimizer's buffers."""
    return tensor_bytes(value for state in optimizer.state.values()
                        for value in state.values()
                        if isinstance(value, Tensor))


def tensor_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the size of tensors; one given twice counts once."""
    seen: Set[int] = set()
    total = 0
    for tensor in tensors:
        if id(tensor) not in seen:
            seen.add(id(tensor))
            total += tensor.numel() * tensor.element_size()
    return total
