"""Embedded tasks made from real handwritten digits; nothing is downloaded."""
from .digits_detection import DIGITS_CLASSES, make_digits_detection

__all__ = ['DIGITS_CLASSES', 'make_digits_detection']
