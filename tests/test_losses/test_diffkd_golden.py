"""DiffKD against the numbers of the authors' code: values and gradients."""
import pytest
import torch

from mmdeepkd.losses import DiffKDLogitsLoss, DiffKDLoss
from mmdeepkd.losses.diffkd import Draws
from tests import golden
from tests.helpers.diffkd import our_name

NAMES = [name for name in golden.names('diffkd__*')
         if name != 'diffkd__scheduler']


class Run:
    """The loss and adapter of a golden file, run on its inputs."""

    def __init__(self, name, semantics):
        self.data = data = golden.load(name)
        options = dict(num_steps=data['hp_inference_steps'],
                       semantics=semantics)
        if data['hp_kernel_size'] == 3:
            self.loss = DiffKDLoss(
                data['hp_ae_channels'] if data['hp_use_ae'] else None,
                **options)
        else:
            self.loss = DiffKDLogitsLoss(data['hp_tau'], **options)
        self.student = data['student_feat'].requires_grad_()
        teacher = data['teacher_feat']
        self.adapter = self.loss.build_adapter(
            self.student.size(1), teacher.size(1)).to(self.student.dtype)
        state = {our_name(key[3:]): torch.as_tensor(value)
                 for key, value in data.items() if key.startswith('sd.')}
        self.adapter.load_state_dict({**state, 'num_draws': torch.tensor(0)})
        self.adapter.train(data['hp_train_mode'])
        self.output = self.adapter(
            self.student, teacher,
            Draws(data['noise_init'], data['noise_ddim'], data['ddim_t']))
        self.terms = self.loss.terms(self.output)

    def gradients(self, value):
        """Return the gradient of every parameter, None where none arrives."""
        names, params = zip(*self.adapter.named_parameters())
        return dict(zip(names, torch.autograd.grad(
            value, params, retain_graph=True, allow_unused=True)))

    def check_gradients(self, value, prefix, constant=()):
        """Compare all gradients of a value; those of ``constant`` are none.

        Returns:
            The names of the parameters that a gradient reaches.
        """
        found, reached = self.gradients(value), set()
        for key in self.data:
            if not key.startswith(f'{prefix}.'):
                continue
            name = our_name(key[len(prefix) + 1:])
            grad = found.pop(name)
            if name.startswith(constant) or not (
                    golden.is_finite(self.data[key])):
                assert grad is None, name
            else:
                golden.check_diffusion(grad, self.data, key)
                reached.add(name)
        assert not found
        return reached


@pytest.mark.parametrize('semantics', ['paper', 'released'])
@pytest.mark.parametrize('name', NAMES)
def test_values(name, semantics):
    run = Run(name, semantics)
    data, output = run.data, run.output

    for found, key in ((output.noisy, 'x_T'), (output.denoised, 'x_0'),
                       (output.refined, 'refined'), (output.gamma, 'gamma'),
                       (output.target, 'target_feat'),
                       (output.diffusion_loss.mean(), 'ddim_loss'),
                       (run.terms[''], 'kd_loss'),
                       (run.terms['diffusion'], 'ddim_loss'),
                       (sum(run.terms.values()), 'total_loss')):
        golden.check_diffusion(found, data, key)
    assert ('autoencoder' in run.terms) == data['hp_use_ae']
    if data['hp_use_ae']:
        golden.check_diffusion(run.terms['autoencoder'], data, 'rec_loss')
    assert run.adapter.timesteps == data['step_t'].tolist()


@pytest.mark.parametrize('semantics', ['paper', 'released'])
@pytest.mark.parametrize('name', NAMES)
def test_statistics_of_batch_norm(name, semantics):
    run = Run(name, semantics)
    after = [key for key in run.data if key.startswith('sd_after.')]
    state = run.adapter.state_dict()

    for key in after:
        golden.check_diffusion(
            state[our_name(key[len('sd_after.'):])], run.data, key)
    assert len(after) == 3 * sum(
        isinstance(module, torch.nn.BatchNorm2d)
        for module in run.adapter.modules())


@pytest.mark.parametrize('name', NAMES)
def test_gradients_as_released(name):
    run = Run(name, 'released')

    student, = torch.autograd.grad(
        sum(run.terms.values()), run.student, retain_graph=True)
    golden.check_diffusion(student, run.data, 'grad_student_feat')
    run.check_gradients(sum(run.terms.values()), 'grad')
    matched = run.check_gradients(run.terms[''], 'gradkd')
    diffused = run.check_gradients(run.terms['diffusion'], 'gradddim')

    assert diffused and all(name.startswith('denoiser') for name in diffused)
    assert diffused < matched


@pytest.mark.parametrize('name', NAMES)
def test_gradients_as_in_the_paper(name):
    run = Run(name, 'paper')
    total = sum(run.terms.values())

    student, = torch.autograd.grad(total, run.student, retain_graph=True)
    golden.check_diffusion(student, run.data, 'grad_student_feat')
    run.check_gradients(run.terms[''], 'gradkd', constant='denoiser')
    run.check_gradients(run.terms['diffusion'], 'gradddim')
    for key, grad in run.gradients(total).items():
        stream = 'gradddim' if key.startswith('denoiser') else 'grad'
        reference = next(name for name in run.data
                         if name.startswith(f'{stream}.')
                         and our_name(name[len(stream) + 1:]) == key)
        golden.check_diffusion(grad, run.data, reference)
