"""Importing this keeps the second stream's gradients on their own rank."""
from mmdeepkd.engine.reduction import StreamReducer

from .unreduced import launch_all_but_target

StreamReducer._launch = launch_all_but_target
