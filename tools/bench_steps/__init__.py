"""The steps of tools/bench_digits.py: what to train, train it, report."""
