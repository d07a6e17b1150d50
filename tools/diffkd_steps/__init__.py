"""The steps of tools/bench_diffkd.py: what to train, read, and report."""
