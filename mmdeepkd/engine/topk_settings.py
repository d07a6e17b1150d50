"""What DynamicTopKHook is told: numbers, or that they are to be proposed."""
from typing import Any, NamedTuple, Optional, Sequence, Tuple, Union

from mmdeepkd.functional.auto_topk import check_share
from mmdeepkd.functional.topk import check_count

#: What asks for a proposal.
AUTO = 'auto'
#: The share of the mass that a proposed K covers, our choice. It masks little:
#: of Digits-100 at temperature 4 it keeps 88 of 99 classes.
SHARE = 0.95
#: Training images to look at.
SAMPLE_SIZE = 512

Phases = Tuple[float, float]


class Wish(NamedTuple):
    """What is asked of the teacher; None is to be proposed.

    Attributes:
        static_k: K of the middle phase.
        phases: When it begins and ends.
        initial_ratio: Share of the classes to begin with.
        share: Share of the non-target mass that a proposed K is to cover.
        sample_size: Number of training images to look at.
    """

    static_k: Optional[int]
    phases: Optional[Phases]
    initial_ratio: float
    share: float
    sample_size: int


def check_static_k(static_k: Union[int, str, None]) -> None:
    """Raise unless K is a count, None, or ``'auto'``."""
    if static_k is None or static_k == AUTO:
        return
    if isinstance(static_k, str):
        raise ValueError(
            f'static_k of DynamicTopKHook is {static_k!r} but must be a '
            "number of classes, 'auto', or None for 40 % of them.")
    check_count(static_k, 'static_k')


def check_phases(phases: Union[Sequence[float], str]) -> Union[Phases, str]:
    """Return two phases as a pair, or ``'auto'``.

    Args:
        phases: Of a config.

    Raises:
        ValueError: They are neither.
    """
    if phases == AUTO:
        return AUTO
    if isinstance(phases, str) or len(phases) != 2:
        raise ValueError(
            'DynamicTopKHook needs two phases, the progress at which the '
            "middle phase begins and ends, or phases='auto', got "
            f'{phases!r}.')
    return phases[0], phases[1]


def check_sample(static_k: Any, phases: Any, share: float,
                 sample_size: int) -> None:
    """Raise unless the settings of a sample have a meaning.

    Args:
        static_k: K, or what asks for it.
        phases: Phases, or what asks for them.
        share: Share of the mass that a proposed K covers.
        sample_size: Number of training images.

    Raises:
        TypeError: The size is not an int.
        ValueError: A number is out of range, or without effect.
    """
    check_share(share)
    if isinstance(sample_size, bool) or not isinstance(sample_size, int):
        raise TypeError(f'sample_size is {sample_size!r} but must be an int: '
                        'it counts training images.')
    if sample_size < 1:
        raise ValueError(f'sample_size is {sample_size} but must be at least '
                         '1: the teacher is looked at on that many images.')
    if static_k != AUTO and share != SHARE:
        raise ValueError(
            f'share={share} of DynamicTopKHook decides a static K that is '
            f"'auto', and it is {static_k}: set static_k='auto', or leave "
            'share out.')
    if AUTO not in (static_k, phases) and sample_size != SAMPLE_SIZE:
        raise ValueError(
            f'sample_size={sample_size} of DynamicTopKHook is for what is '
            "'auto', and nothing is: set static_k='auto' or phases='auto', "
            'or leave it out.')
