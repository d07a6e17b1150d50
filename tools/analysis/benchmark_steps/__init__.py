"""The steps of tools/analysis/benchmark.py: what is timed, and the tables."""
