"""Importing this keeps the second stream's gradients on their own rank."""
import torch.distributed as dist

from mmdeepkd.engine import gradients, optim_wrapper


def reduce_first_only(stream_grads, streams, params):
    reduced = gradients.reduce_streams(stream_grads, streams[:1], params)
    local = {s: stream_grads[s] for s in streams[1:] if s in stream_grads}
    assert local and dist.get_world_size() == 2
    return {**reduced, **local}


optim_wrapper.reduce_streams = reduce_first_only
