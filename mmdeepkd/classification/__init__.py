"""Distillation of mmpretrain's classifiers; only this room imports it."""
