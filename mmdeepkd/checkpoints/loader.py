"""MMEngine's checkpoint loader for local files, through the safe reader."""
from pathlib import Path
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from .unpickler import read_checkpoint


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a local checkpoint file for MMEngine.

    Args:
        filename: Path.
        map_location: As for ``torch.load``.

    Returns:
        What :func:`read_checkpoint` returns.
    """
    return read_checkpoint(Path(filename).expanduser(), map_location)
