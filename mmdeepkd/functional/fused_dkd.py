"""The decoupled divergences in few passes, with gradients in closed form.

With b = (p_y, 1 - p_y) and q the probabilities renormalised on the kept
non-target classes, the gradients at the student's logits need no graph::

    d TCKD / d z_y =  T (b^s_y - b^t_y)
    d TCKD / d z_c = -T (b^s_y - b^t_y) q^s_c    every c != y, q over them all
    d NCKD / d z_c =  T (q^s_c - q^t_c)          every kept c, 0 elsewhere

b comes from the log-odds of the target, z_y / T - logsumexp_{c != y} z_c / T,
so that neither tail is ever 1 - p. The rows are worked off in blocks, and
what is kept for the two backwards are the directions of both gradients.
"""
import math
from typing import Any, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .topk import best_others

# Bytes of one block of logits. A processor works on it in its caches; an
# accelerator is given few and large kernels, in bounded memory.
_CPU_BLOCK = 2**19
_DEVICE_BLOCK = 2**25
_LOG2_E = 1 / math.log(2)


class FusedDKD(torch.autograd.Function):
    """TCKD, NCKD and the teacher's 1 - p(target), each (N,).

    NCKD runs over the teacher's ``topk`` best non-target classes, over all
    when None. The first two are differentiable, once, in the student's
    logits alone; the backward of one computes nothing of the other.
    """

    @staticmethod
    def forward(ctx: Any, logits_student: Tensor, logits_teacher: Tensor,
                target: Tensor, temperature: float,
                topk: Optional[int]) -> Tuple[Tensor, Tensor, Tensor]:
        """Return the three and save what the two backwards need."""
        pair = logits_student.new_empty(
            (2, *logits_student.shape),
            dtype=_working_dtype(logits_student, logits_teacher))
        if topk is None:
            log_odds, nckd = _in_blocks(temperature, pair, logits_student,
                                        logits_teacher, target)
            (away, shift), kept = pair, []
        else:
            kept = [best_others(logits_teacher, target, topk)]
            shift = pair.new_empty(kept[0].shape)
            log_odds, nckd = _in_blocks(temperature, pair, logits_student,
                                        logits_teacher, target, shift, *kept)
            # Not the teacher's half of the memory.
            away = pair[0].clone()
        tckd, mass, step = _binary(log_odds)
        ctx.save_for_backward(away, step, shift, *kept)
        ctx.temperature, ctx.dtype = temperature, logits_student.dtype
        ctx.mark_non_differentiable(mass)
        ctx.set_materialize_grads(False)
        if temperature != 1:
            step.mul_(temperature)
            tckd.mul_(temperature**2)
            nckd.mul_(temperature**2)
        return tckd, nckd, mass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_tckd: Optional[Tensor],
                 grad_nckd: Optional[Tensor],
                 _: None) -> Tuple[Optional[Tensor], ...]:
        """Return the gradient of those values that one comes for."""
        away, step, shift, *kept = ctx.saved_tensors
        grad = None
        if grad_tckd is not None:
            grad = away * (grad_tckd * step).unsqueeze(1)
        if grad_nckd is not None:
            if ctx.temperature != 1:
                grad_nckd = grad_nckd * ctx.temperature
            other = shift * grad_nckd.unsqueeze(1)
            if kept:
                # From `other`: under vmap a batch of them.
                empty = other.new_zeros(away.shape)
                other = empty.scatter_(1, kept[0], other)
            grad = other if grad is None else grad.add_(other)
        if grad is not None:
            grad = grad.to(ctx.dtype)
        return grad, None, None, None, None


def _working_dtype(student: Tensor, teacher: Tensor) -> torch.dtype:
    common = torch.promote_types(student.dtype, teacher.dtype)
    return torch.promote_types(common, torch.float32)


def _in_blocks(temperature: float, pair: Tensor,
               *per_row: Tensor) -> Tuple[Tensor, ...]:
    """Return the results of ``_block`` for all rows."""
    _, num_rows, num_classes = pair.shape
    size = _CPU_BLOCK if pair.device.type == 'cpu' else _DEVICE_BLOCK
    block_rows = max(1, size // (4 * num_classes))
    if num_rows <= block_rows:
        return _block(temperature, pair, *per_row)
    blocks = zip(torch.split(pair, block_rows, 1),
                 *(torch.split(tensor, block_rows) for tensor in per_row))
    results = [_block(temperature, *rows) for rows in blocks]
    return tuple(torch.cat(parts, -1) for parts in zip(*results))


def _block(temperature: float,
           pair: Tensor,
           student: Tensor,
           teacher: Tensor,
           target: Tensor,
           shift: Optional[Tensor] = None,
           kept: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
    """Fill ``pair``, (2, n, C), and ``shift``, (n, K), for the backwards.

    The first of the pair becomes q^s over all non-target classes minus the
    one-hot target. q^s - q^t over the kept ones becomes the second, or the
    shift where not all are kept.

    Returns:
        The log-odds (2, n) of student and teacher, and NCKD, (n,).
    """
    torch.stack((student, teacher), out=pair)
    if temperature != 1:
        pair.div_(temperature)
    column = target.unsqueeze(1)
    columns = column.expand(2, -1, -1)
    log_odds = pair.gather(2, columns).squeeze(2)
    # What stands for -inf must leave differences finite.
    pair.scatter_(2, columns, torch.finfo(pair.dtype).min / 4)
    # Before the shift by ``top``, which may be far above all of them.
    others = None if kept is None else pair.gather(2, kept.expand(2, -1, -1))
    log_odds.sub_(_top_to_zero(pair))
    if others is None or shift is None:
        nckd, log_sums = _within(pair)
    else:
        _top_to_zero(others)
        nckd, _ = _within(others)
        shift.copy_(others[1])
        sums = _exp_(pair).sum(2, keepdim=True)
        log_sums = sums.log().squeeze(2)
        pair[0].div_(sums[0])
    pair[0].scatter_(1, column, -1)
    return log_odds.sub_(log_sums), nckd


def _top_to_zero(logits: Tensor) -> Tensor:
    """Subtract each row's largest in place; return it."""
    top = logits.amax(-1, keepdim=True)
    logits.sub_(top)
    return top.squeeze(-1)


def _exp_(logits: Tensor) -> Tensor:
    """Exponentiate logits <= 0 in place, as 2^(z log2 e)."""
    # exp2 is a third of exp's time on a processor; the product rounds as
    # the subtraction before it did.
    return logits.mul_(_LOG2_E).exp2_()


def _within(pair: Tensor) -> Tuple[Tensor, Tensor]:
    """Turn logits of student and teacher into q^s and q^s - q^t.

    Args:
        pair: (2, n, K), the largest of each row 0; changed in place.

    Returns:
        KL(q^t || q^s), (n,), and the logs of the sums of the exponentials,
        (2, n).
    """
    student, teacher = pair
    gap = teacher - student
    sums = _exp_(pair).sum(2, keepdim=True)
    pair.div_(sums)
    log_sums = sums.log_().squeeze(2)
    divergence = gap.mul_(teacher).sum(1)
    torch.sub(student, teacher, out=teacher)
    return divergence.add_(log_sums[0]).sub_(log_sums[1]), log_sums


def _binary(log_odds: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Return TCKD, 1 - p^t_y and b^t_y - b^s_y, each (N,)."""
    log_probs = F.logsigmoid(torch.stack((log_odds, -log_odds), 1))
    log_student, log_teacher = log_probs
    student, teacher = log_probs.exp()
    tckd = (log_teacher - log_student).mul_(teacher).sum(0)
    (own_student, rest_student), (own_teacher, rest_teacher) = student, teacher
    # Products with the other's rest: a difference of near ones would round.
    step = own_teacher * rest_student
    step.addcmul_(own_student, rest_teacher, value=-1)
    return tckd, rest_teacher, step
