"""The steps of tools/analysis/report.py: read, draw, detect, lay out."""
