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


def masses(logits: Sequence[float], groups: Sequence[Sequence[int]],
           temperature: float) -> List[float]:
    """Return the softmax probability of every group of classes."""
    probs = softmax(logits, temperature)
    return [math.fsum(probs[c] for c in group) for group in groups]


def grouped(student: Sequence[float],
            teacher: Sequence[float],
            groups: Sequence[Sequence[int]],
            temperature: float,
            kl_type: str = 'forward') -> List[float]:
    """Return T^2 KL of the groups' masses, then of every group inside."""
    found = [
        temperature**2 * kl(
            masses(teacher, groups, temperature),
            masses(student, groups, temperature))
    ]
    for group in groups:
        sides = [[z[c] for c in group] for z in (student, teacher)]
        forward = kd(*sides, temperature) if group else 0.0
        reverse = kd(*sides[::-1], temperature) if group else 0.0
        found.append({
            'forward': forward,
            'reverse': reverse,
            'both': (forward + reverse) / 2
        }[kl_type])
    return found


def ranks(logits: Sequence[float]) -> List[int]:
    """Return the classes, the largest logit first."""
    return sorted(range(len(logits)), key=lambda c: -logits[c])


def correlation(x: Sequence[float], y: Sequence[float],
                weight: Sequence[float], eps: float) -> float:
    """Return Pearson's weighted correlation; weights have a mean of 1."""
    mean_x, mean_y = (
        math.fsum(w * v for w, v in zip(weight, side)) / math.fsum(weight)
        for side in (x, y))
    covariance, var_x, var_y = (
        math.fsum(w * (a - m) * (b - n) for w, a, b in zip(weight, one, two))
        for one, two, m, n in ((x, y, mean_x, mean_y), (x, x, mean_x, mean_x),
                               (y, y, mean_y, mean_y)))
    return covariance / (math.sqrt(var_x) * math.sqrt(var_y) + eps)


def standardize(logits: Sequence[float],
                eps: float,
                unbiased: bool = True) -> List[float]:
    """Return the z-score with the deviation plus eps."""
    mean = math.fsum(logits) / len(logits)
    square = math.fsum((logit - mean)**2 for logit in logits)
    scale = math.sqrt(square / (len(logits) - unbiased)) + eps
    return [(logit - mean) / scale for logit in logits]
