"""The steps of tools/demo.py: train, read the metrics, draw."""
