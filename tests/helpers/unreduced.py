"""A reduction that forgets one stream, for tests that must notice it."""
import torch.distributed as dist

from mmdeepkd.engine.reduction import StreamReducer

_launch = StreamReducer._launch


def launch_all_but_target(self, stream, members, grads):
    """Instead of ``StreamReducer._launch``: ``target`` stays as it is."""
    local = {i: grads[i] for i in members}
    first = len(self._buckets)
    _launch(self, stream, members, grads)
    if stream == 'target' and local:
        assert dist.get_world_size() == 2
        for bucket in self._buckets[first:]:
            bucket.work.wait()
            for i, part in zip(bucket.members, bucket.parts):
                part.copy_(local[i])
