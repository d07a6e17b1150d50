"""What may go wrong with a run of another place, and how the page says it."""
from mmdeepkd.checkpoints import UnsafeCheckpointError

#: What building a model may raise of a run of another place, or an
#: unfinished one.
UNUSABLE = (AssertionError, AttributeError, ImportError, KeyError, OSError,
            RuntimeError, TypeError, ValueError, UnsafeCheckpointError)
#: What running it may raise: an image that is gone, too little memory.
BROKEN_OFF = (OSError, RuntimeError)


class LeftOut(Exception):
    """Why a model cannot be shown."""


def told(error: Exception) -> str:
    """Return what an error says; a KeyError says a key alone."""
    return f'there is no {error}' if isinstance(error, KeyError) else str(
        error)
