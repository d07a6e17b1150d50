"""Functions run by two processes that talk through gloo."""
import datetime
import io
import multiprocessing
import os
import queue
import traceback

import torch
import torch.distributed as dist

from .processes import free_port


def run_ranks(function, *args, ranks=2, timeout=100):
    """Run ``function(rank, *args)`` in processes of one group.

    Returns:
        What each rank returned: tensors and containers. A rank that
        raises, dies or takes too long fails the caller, with its traceback.
    """
    context = multiprocessing.get_context('spawn')
    answers = context.Queue()
    port = free_port()
    processes = [
        context.Process(target=_work,
                        args=(answers, port, rank, ranks, function, args))
        for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    try:
        results = _collect(answers, ranks, timeout)
    finally:
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.kill()
    return results


def _collect(answers, ranks, timeout):
    results = [None] * ranks
    for _ in range(ranks):
        try:
            rank, result, error = answers.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(
                f'a rank has not answered in {timeout} s') from None
        if error:
            raise RuntimeError(f'rank {rank} failed:\n{error}')
        results[rank] = torch.load(io.BytesIO(result))
    return results


def _work(answers, port, rank, ranks, function, args):
    try:
        os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
        torch.set_num_threads(1)
        dist.init_process_group(
            'gloo', rank=rank, world_size=ranks,
            timeout=datetime.timedelta(seconds=30))
        # As bytes: a queue would share a tensor's memory, which is gone when
        # this process ends first.
        result = io.BytesIO()
        torch.save(function(rank, *args), result)
    except BaseException:
        answers.put((rank, None, traceback.format_exc()))
        raise
    answers.put((rank, result.getvalue(), None))
    dist.barrier()
    dist.destroy_process_group()
