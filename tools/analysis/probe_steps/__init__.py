"""The steps of tools/analysis/probe.py: measuring, and what to suggest."""
