"""The divergences as plain Python loops over one sample, from equations.

Lists of floats in, floats out; nothing is shared with the package.
"""
import math
from typing import List, Optional, Sequence


def softmax(logits: Sequence[float], temperature: float) -> List[float]:
    """Return the tempered softmax of a list of logits."""
    top = max(logits)
    exps = [math.exp((logit - top) / temperature) for logit in logits]
    return [value / math.fsum(exps) for value in exps]


def kl(teacher: Sequence[float], student: Sequence[float]) -> float:
    """Return KL(teacher || student) of two lists of probabilities."""
    total = 0.0
    for p, q in zip(teacher, student):
        if p > 0:
            total += p * (math.log(p) - math.log(q))
    return total


def kd(student: Sequence[float], teacher: Sequence[float],
       temperature: float) -> float:
    """Return T^2 KL over all classes."""
    return temperature**2 * kl(
        softmax(teacher, temperature), softmax(student, temperature))


def tckd(student: Sequence[float], teacher: Sequence[float], target: int,
         temperature: float) -> float:
    """Return T^2 KL over [target, all others]."""
    pairs = []
    for logits in (teacher, student):
        probs = softmax(logits, temperature)
        others = math.fsum(probs[:target] + probs[target + 1:])
        pairs.append([probs[target], others])
    return temperature**2 * kl(*pairs)


def nckd(student: Sequence[float],
         teacher: Sequence[float],
         target: int,
         temperature: float,
         keep: Optional[Sequence[bool]] = None) -> float:
    """Return T^2 KL over the kept classes other than the target."""
    kept = [
        c for c in range(len(student))
        if c != target and (keep is None or keep[c])
    ]
    if not kept:
        return 0.0
    return kd([student[c] for c in kept], [teacher[c] for c in kept],
              temperature)


def standardize(logits: Sequence[float], eps: float) -> List[float]:
    """Return the z-score with the unbiased deviation plus eps."""
    mean = math.fsum(logits) / len(logits)
    square = math.fsum((logit - mean)**2 for logit in logits)
    scale = math.sqrt(square / (len(logits) - 1)) + eps
    return [(logit - mean) / scale for logit in logits]
