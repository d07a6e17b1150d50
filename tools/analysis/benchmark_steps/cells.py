"""What the cells of the tables hold: numbers with their spread."""
from .timing import Spread

_MB = 2**20


def milliseconds(found: Spread) -> str:
    """Return a median and its quartiles."""
    low, middle, high = (three_digits(1e3 * value)
                         for value in (found.low, found.median, found.high))
    return f'{middle} ({low}..{high})'


def ratio(found: Spread) -> str:
    """Return a ratio and its quartiles."""
    return f'**{found.median:.2f}** ({found.low:.2f}..{found.high:.2f})'


def three_digits(value: float) -> str:
    """Return a number of three digits, without an exponent."""
    return f'{value:.0f}' if value >= 100 else f'{value:.3g}'


def mib(count: float, sign: str = '') -> str:
    """Return bytes in MiB; with sign '+' a difference."""
    return format(count / _MB, f'{sign}.2f')
