"""How much memory tensors take while a function runs, on the CPU."""
from torch.profiler import ProfilerActivity, profile


def peak_bytes(function):
    """Call a function; return the most that its own tensors held at a time.

    Memory from before the call counts neither while it is held nor when the
    call frees it. Every block is counted as torch allocates and frees it, so
    that the result is the same in every run.
    """
    with profile(activities=[ProfilerActivity.CPU],
                 profile_memory=True) as profiler:
        function()
    held = peak = 0
    # In the order of time; positive when allocated, negative when freed.
    for event in profiler.profiler.kineto_results.events():
        if event.name() == '[memory]':
            held += event.nbytes()
            peak = max(peak, held)
    return peak
