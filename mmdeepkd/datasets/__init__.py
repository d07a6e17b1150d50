"""Embedded tasks made from real handwritten digits; nothing is downloaded."""
from .digit_pairs import DigitPairs, make_digit_pairs
from .digits_detection import DIGITS_CLASSES, make_digits_detection

__all__ = [
    'DIGITS_CLASSES', 'DigitPairs', 'make_digit_pairs', 'make_digits_detection'
]
