"""The steps of tools/analysis/landscape.py: directions, losses, pictures."""
