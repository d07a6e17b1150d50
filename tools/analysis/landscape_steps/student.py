"""The student of a config with a checkpoint's weights."""
import hashlib
from typing import Any, Dict, Sequence

from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from tools.export_steps.evaluated import build_model
from tools.export_steps.plain_config import plain_config
from tools.export_steps.weights import load_student, pick_tensors


def student_with(cfg: Config, checkpoint: str, device: str) -> nn.Module:
    """Build the student, in evaluation mode, with the weights of a file.

    Args:
        cfg: Config of a plain training, or of a distillation.
        checkpoint: Of a run, of tools/export_student.py, or plain.
        device: Where the model is put.

    Raises:
        OSError, RuntimeError, UnsafeCheckpointError: It cannot be read.
        ValueError: It holds another model.
    """
    student = build_model(plain_config(cfg))
    loaded = CheckpointLoader.load_checkpoint(checkpoint, 'cpu')
    load_student(student, pick_tensors(loaded, checkpoint, False), checkpoint)
    return student.to(device)


def digest(cfg: Config, model: nn.Module,
           batches: Sequence[Dict[str, Any]]) -> str:
    """Return what tells one landscape from another, whatever files are named.

    Args:
        cfg: Config of the run.
        model: The model in the middle.
        batches: What its loss is taken on.
    """
    found = hashlib.sha256(repr(cfg.to_dict()).encode())
    tensors = list(model.state_dict().values())
    for batch in batches:
        tensors += batch['inputs']
    for tensor in tensors:
        found.update(tensor.cpu().numpy().tobytes())
    return found.hexdigest()
