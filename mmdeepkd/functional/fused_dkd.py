"""The decoupled divergences in few passes, with gradients in closed form.

With b = (p_y, 1 - p_y) and q the probabilities renormalised on the kept
non-target classes, the gradients at the student's logits need no graph::

    d TCKD / d z_y =  T (b^s_y - b^t_y)
    d TCKD / d z_c = -T (b^s_y - b^t_y) q^s_c    every c != y, q over them all
    d NCKD / d z_c =  T (q^s_c - q^t_c)          every kept c, 0 elsewhere

b comes from the log-odds of the target, z_y / T - logsumexp_{c != y} z_c / T,
so that neither tail is ever 1 - p. The forward works off the rows in blocks.
q^t - q^s is all of size (N, C) that is kept for the backward.
"""
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
        num_rows, num_classes = logits_student.shape
        shift = logits_student.new_empty(
            (num_rows, topk or num_classes),
            dtype=_working_dtype(logits_student, logits_teacher))
        per_row = [logits_student, logits_teacher, target, shift]
        if topk is not None:
            per_row.append(best_others(logits_teacher, target, topk))
        log_odds, nckd, top, total = _in_blocks(temperature, *per_row)
        tckd, mass, step = _binary(log_odds)
        ctx.save_for_backward(logits_student, target, top, total, step,
                              *per_row[3:])
        ctx.temperature = temperature
        ctx.mark_non_differentiable(mass)
        ctx.set_materialize_grads(False)
        if temperature != 1:
            tckd.mul_(temperature**2)
            nckd.mul_(temperature**2)
        return tckd, nckd, mass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_tckd: Optional[Tensor],
                 grad_nckd: Optional[Tensor],
                 _: None) -> Tuple[Optional[Tensor], ...]:
        """Return the gradient of those values that one comes for."""
        student, target, top, total, step, *shift = ctx.saved_tensors
        grad = None
        if grad_tckd is not None:
            grad = _tckd_grad(student, target, ctx.temperature, top, total,
                              grad_tckd * step)
        if grad_nckd is not None:
            other = _nckd_grad(student, grad_nckd * -ctx.temperature, *shift)
            grad = other if grad is None else grad.add_(other)
        return grad, None, None, None, None


def _working_dtype(student: Tensor, teacher: Tensor) -> torch.dtype:
    common = torch.promote_types(student.dtype, teacher.dtype)
    return torch.promote_types(common, torch.float32)


def _in_blocks(temperature: float, *per_row: Tensor) -> Tuple[Tensor, ...]:
    """Return the results of ``_block`` for all rows."""
    num_rows, num_classes = per_row[0].shape
    size = _CPU_BLOCK if per_row[0].device.type == 'cpu' else _DEVICE_BLOCK
    block_rows = max(1, size // (4 * num_classes))
    if num_rows <= block_rows:
        return _block(temperature, *per_row)
    blocks = zip(*(torch.split(tensor, block_rows) for tensor in per_row))
    results = [_block(temperature, *rows) for rows in blocks]
    return tuple(torch.cat(parts, -1) for parts in zip(*results))


def _block(temperature: float,
           student: Tensor,
           teacher: Tensor,
           target: Tensor,
           shift: Tensor,
           kept: Optional[Tensor] = None) -> Tuple[Tensor, ...]:
    """Fill ``shift`` with q^t - q^s, (n, K).

    Returns:
        The log-odds (2, n) of student and teacher, NCKD (n,), and of the
        student's tempered non-target logits the largest and the sum of the
        exponentials relative to it, each (n,).
    """
    pair = torch.stack((student.to(shift.dtype), teacher.to(shift.dtype)))
    if temperature != 1:
        pair.div_(temperature)
    column = target.view(1, -1, 1).expand(2, -1, 1)
    log_odds = pair.gather(2, column).squeeze(2)
    # What stands for -inf must leave differences finite.
    pair.scatter_(2, column, torch.finfo(pair.dtype).min / 4)
    if kept is None:
        top = _top_to_zero(pair)
        nckd, sums, log_sums = _within(pair, shift)
    else:
        # Before the shift by ``top``, which may be far above all of them.
        others = pair.gather(2, kept.expand(2, -1, -1))
        top = _top_to_zero(pair)
        sums = pair.exp_().sum(2)
        log_sums = sums.log()
        _top_to_zero(others)
        nckd, _, _ = _within(others, shift)
    log_odds.sub_(top).sub_(log_sums)
    return log_odds, nckd, top[0], sums[0]


def _top_to_zero(logits: Tensor) -> Tensor:
    """Subtract each row's largest in place; return it."""
    top = logits.amax(-1, keepdim=True)
    logits.sub_(top)
    return top.squeeze(-1)


def _within(pair: Tensor, shift: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Fill ``shift`` from a pair (2, n, K), which is used up.

    The largest of each row is 0. Returned are KL(q^t || q^s), (n,), and the
    sums of the exponentials with their logs, (2, n).
    """
    student, teacher = pair
    torch.exp(teacher, out=shift)
    sum_teacher = shift.sum(1)
    gap = teacher.sub_(student).mul_(shift).sum(1).div_(sum_teacher)
    exps_student = torch.exp(student, out=teacher)
    sum_student = exps_student.sum(1)
    shift.div_(sum_teacher.unsqueeze(1))
    shift.addcdiv_(exps_student, sum_student.unsqueeze(1), value=-1)
    sums = torch.stack((sum_student, sum_teacher))
    log_sums = sums.log()
    return gap.add_(log_sums[0]).sub_(log_sums[1]), sums, log_sums


def _binary(log_odds: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Return TCKD, 1 - p^t_y and b^s_y - b^t_y, each (N,)."""
    log_probs = F.logsigmoid(torch.stack((log_odds, -log_odds), 1))
    log_student, log_teacher = log_probs
    student, teacher = log_probs.exp()
    tckd = (log_teacher - log_student).mul_(teacher).sum(0)
    (own_student, rest_student), (own_teacher, rest_teacher) = student, teacher
    # Products with the other's rest: a difference of near ones would round.
    step = own_student * rest_teacher - own_teacher * rest_student
    return tckd, rest_teacher, step


def _tckd_grad(student: Tensor, target: Tensor, temperature: float,
               top: Tensor, total: Tensor, scale: Tensor) -> Tensor:
    """Return T scale (N,) times the one-hot target minus q^s."""
    logits, top = student.to(top.dtype), top.unsqueeze(1)
    if temperature == 1:
        grad = logits - top
    else:
        grad = (logits / temperature).sub_(top)
        scale = scale * temperature
    grad.exp_().mul_((scale / total).neg_().unsqueeze(1))
    # The target's own exponential may have overflowed.
    grad.scatter_(1, target.unsqueeze(1), scale.unsqueeze(1))
    return grad.to(student.dtype)


def _nckd_grad(student: Tensor,
               scale: Tensor,
               shift: Tensor,
               kept: Optional[Tensor] = None) -> Tensor:
    """Return scale (N,) times the shift, in the columns it belongs to."""
    values = shift * scale.unsqueeze(1)
    if kept is None:
        return values.to(student.dtype)
    grad = student.new_zeros(student.shape)
    return grad.scatter_(1, kept, values.to(student.dtype))
