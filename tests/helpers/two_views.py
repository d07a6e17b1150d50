"""Two views of a small batch, and of the golden files."""
import torch

from tests import golden

ORDER = ('student_weak', 'student_strong', 'teacher_weak', 'teacher_strong')


def batch(num_rows=6, num_classes=5, dtype=torch.float64):
    """Return student views, teacher views and a target."""
    generator = torch.Generator().manual_seed(0)
    shape = (4, num_rows, num_classes)
    views = (3 * torch.randn(*shape, generator=generator)).to(dtype)
    target = torch.randint(num_classes, (num_rows, ), generator=generator)
    weak, strong = views[:2]
    return ((weak.requires_grad_(), strong.requires_grad_()),
            (views[2], views[3]), target)


def part(views, rows):
    """Return some rows of both views."""
    return tuple(view[rows] for view in views)


def load_golden(name):
    """Return a golden file, student views, teacher views and the target."""
    # These files leave out that the reference ran in float64.
    data = dict(golden.load(name), dtype='float64')
    weak, strong, *teacher = [data[f'logits_{key}'] for key in ORDER]
    views = (weak.requires_grad_(), strong.requires_grad_())
    return data, views, tuple(teacher), data['target']


def check(data, key, value, views):
    """Compare a loss and its gradients to both views with a file's."""
    golden.check_value(value, data, key)
    for grad, name in zip(gradients(value, views), ('weak', 'strong')):
        golden.check_grad(grad, data, f'grad_{name}__{key}')


def gradients(value, views):
    """Return the gradients to both views, zeros where there is none."""
    grads = torch.autograd.grad(
        value, views, retain_graph=True, allow_unused=True)
    return [
        torch.zeros_like(view) if grad is None else grad
        for grad, view in zip(grads, views)
    ]
