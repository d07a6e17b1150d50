"""The steps of tools/bench_gsnr.py: what to train and watch, and report."""
