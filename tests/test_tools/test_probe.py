"""tools/analysis/probe.py: what it measures, suggests and refuses."""
import io
import itertools
import math
import re
import sys
from contextlib import redirect_stdout
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

import mmdeepkd
from mmdeepkd.distillers import resolve_model_config
from mmdeepkd.functional.gsnr import gsnr_offsets
from mmdeepkd.losses import ForegroundLoss
from mmdeepkd.registry import MODELS
from tests.helpers.classifiers import (
    image_batch,
    make_distiller,
    resnet,
    write_teacher,
)
from tests.helpers.processes import run_tool
from tools.analysis import probe
from tools.analysis.probe_steps import data, suggesting, telling
from tools.analysis.probe_steps.measuring import (
    Estimate,
    Measured,
    StreamMeter,
)

PAIR = 'digits100/deepkd_resnet8w32_resnet8w4.py'
CONFIG = """
_base_ = [__import__('mmdeepkd').config_path('{pair}')]
model = dict(teacher_checkpoint='{checkpoint}')
train_dataloader = dict(batch_size=8, num_workers=0,
                        persistent_workers=False)
work_dir = '{folder}/work'
"""
STREAMS = ['task', 'target', 'non_target']


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('probe')
    teacher = resolve_model_config(
        mmdeepkd.config_path('digits100/teacher_resnet8w32.py'), 'teacher')
    path = folder / 'config.py'
    path.write_text(CONFIG.format(
        pair=PAIR, folder=folder,
        checkpoint=write_teacher(teacher, folder / 'teacher.pth')))
    return path


@pytest.fixture
def run(monkeypatch):
    """Run the tool's main; return what it prints."""

    def call(config, *arguments):
        monkeypatch.setattr(sys, 'argv', [
            'probe.py', str(config), *map(str, arguments)])
        monkeypatch.setenv('LOCAL_RANK', '0')
        # Not capsys: MMEngine's logger would keep its closed stream.
        with redirect_stdout(io.StringIO()) as said:
            try:
                probe.main()
            except SystemExit as stopped:
                said.write(str(stopped))
        return said.getvalue()

    return call


@pytest.fixture
def distiller(tmp_path):
    """A student of BatchNorm in evaluation: a batch gives one gradient."""
    model = make_distiller(
        tmp_path, resnet(norm_eval=True), resnet(width=8),
        losses=dict(type='mmdeepkd.DeepKDLoss', alpha=2., beta=0.5))
    return model.double().train()


def measure(model, block, batches):
    meter = StreamMeter(model, block)
    for seed in range(batches):
        model.train_step(image_batch(seed), meter)
    return meter


def gradients(model, batches):
    """All batches' gradients, {stream: (batches, elements)}."""
    params = [p for p in model.parameters() if p.requires_grad]
    found = {stream: [] for stream in STREAMS}
    for seed in range(batches):
        batch = model.data_preprocessor(image_batch(seed), True)
        total, _ = model.parse_losses(model(**batch, mode='loss'))
        for stream in STREAMS:
            grads = torch.autograd.grad(
                total.streams[stream], params, retain_graph=True)
            found[stream].append(torch.cat([g.flatten() for g in grads]))
    return {stream: torch.stack(rows).double()
            for stream, rows in found.items()}


def plain_gsnr(grads):
    """Of (n, elements), by the formula of functional.gsnr."""
    n = len(grads)
    mean = grads.mean(0)
    variance = ((grads - mean)**2).sum(0) / (n - 1)
    varies = variance > 0
    values = (n - 3) / (n - 1) * mean[varies]**2 / variance[varies] - 1 / n
    return float(values.mean())


def test_blocks_of_batches_are_measured_by_the_slow_loop(distiller):
    before = [p.detach().clone() for p in distiller.parameters()]
    found = measure(distiller, 6, 12).measured()
    grads = gradients(distiller, 12)

    assert found.batches == 12
    for stream in STREAMS:
        first, second = (plain_gsnr(grads[stream][i:i + 6]) for i in (0, 6))
        assert found.of('gsnr')[stream] == pytest.approx(
            ((first + second) / 2, abs(first - second) / 2), rel=1e-4)
        assert found.of('grad_norm')[stream].value == pytest.approx(
            float(grads[stream].norm(dim=1).mean()), rel=1e-4)
    for first, second in itertools.combinations(STREAMS, 2):
        cosine = torch.cosine_similarity(grads[first], grads[second], dim=1)
        assert found.of('grad_cosine')[f'{first}-{second}'].value == (
            pytest.approx(float(cosine.mean()), rel=1e-3))
    # Nothing was trained.
    for param, value in zip(distiller.parameters(), before):
        assert torch.equal(param, value) and param.grad is None


def test_the_suggested_weights_make_gradients_as_long_as_the_tasks(distiller):
    factors = suggesting.suggest_factors(measure(distiller, 6, 6).measured())
    loss, = distiller.losses
    told = [suggesting.weights_of([loss], stream)
            for stream in ('target', 'non_target')]
    loss.alpha *= factors['target']
    loss.beta *= factors['non_target']
    norms = measure(distiller, 6, 6).measured().of('grad_norm')

    assert told == [[(0, 'alpha', 2.)], [(0, 'beta', 0.5)]]
    assert min(factors.values()) > 0 and 1 not in factors.values()
    for stream in ('target', 'non_target'):
        assert norms[stream].value == pytest.approx(norms['task'].value,
                                                    rel=1e-4)


def test_a_gradient_that_is_not_finite_is_refused(distiller):
    with torch.no_grad():
        distiller.head.fc.weight.fill_(math.nan)
    with pytest.raises(FloatingPointError, match='is inf or NaN: probe'):
        measure(distiller, 6, 1)


def test_estimates_over_blocks_by_hand():
    found = Measured(3, [{'gsnr/a': 1., 'gsnr/b': 5., 'grad_norm/a': 7.},
                         {'gsnr/a': 2.}, {'gsnr/a': 6.}])

    assert found.of('gsnr')['a'] == pytest.approx((3., math.sqrt(7 / 3)))
    assert found.of('gsnr')['b'].value == 5.
    assert telling.shown(found.of('gsnr')['a']) == '3 +- 2'
    assert telling.shown(found.of('gsnr')['b']) == '5'
    assert list(found.of('grad_norm')) == ['a']


def reported(**streams):
    """Reports of streams, each (GSNR or None, norm)."""
    report = {}
    for name, (ratio, norm) in streams.items():
        report[f'grad_norm/{name}'] = norm
        if ratio is not None:
            report[f'gsnr/{name}'] = ratio
    return Measured(8, [report, report])


def test_a_stream_without_a_gradient_keeps_the_base_momentum():
    found = reported(task=(4., 2.), target=(1., 4.), non_target=(None, 0.))
    offsets = suggesting.suggest_offsets(found, 0.06)

    assert offsets == dict(task=0.02, target=-0.02, non_target=0.0)
    assert gsnr_offsets(dict(task=4., target=1.), 0.06) == pytest.approx(
        dict(task=0.02, target=-0.02))
    assert suggesting.suggest_factors(found) == dict(target=0.5)
    text = telling.report(found, Config(dict()), [], 0.06, 0.9)
    assert 'non_target: none, it or the task has no gradient' in text
    assert 'target: 0.5 times as much\n' in text


@pytest.mark.parametrize('optimizer, base', [
    (dict(type='SGD', momentum=0.8), 0.8), (dict(type='SGD'), 0.0),
    (dict(type='AdamW', betas=(0.7, 0.9)), 0.7), (dict(type='AdamW'), 0.9),
    (dict(type='Lion'), None)], ids=['sgd', 'bare', 'betas', 'adamw', 'other'])
def test_the_base_momentum_is_the_optimizers(optimizer, base):
    cfg = Config(dict(optim_wrapper=dict(optimizer=optimizer)))

    assert suggesting.base_momentum(cfg) == base


def test_the_weights_of_other_losses():
    kd = SimpleNamespace(streams=('distill', ), loss_weight=3.)
    groups = SimpleNamespace(streams=('target', 'non_target'))

    assert suggesting.weights_of([groups, kd], 'distill') == [
        (1, 'loss_weight', 3.)]
    assert suggesting.weights_of([kd, groups], 'target') == []


def test_the_weights_of_a_loss_on_the_foreground_are_those_inside():
    loss = ForegroundLoss(dict(type='mmdeepkd.DeepKDLoss', beta=3.))

    assert suggesting.weights_of([loss], 'non_target') == [(0, 'beta', 3.)]


DEEPKD = dict(type='mmdeepkd.DeepKDLoss')
DIFFKD = dict(type='mmdeepkd.DiffKDLoss')
INSIDE = dict(type='mmdeepkd.ForegroundLoss', loss=DEEPKD)


@pytest.mark.parametrize('config, keys', [
    (DEEPKD, ['model.losses']), ([DEEPKD], ['model.losses.0']),
    ([DIFFKD, DEEPKD], ['model.losses.1']), (INSIDE, ['model.losses.loss']),
    ([DEEPKD, INSIDE], ['model.losses.0', 'model.losses.1.loss']),
    (DIFFKD, []), ([DIFFKD], [])],
    ids=['one', 'list', 'second', 'inside', 'both', 'features', 'of a list'])
def test_what_is_said_of_k_can_be_given(config, keys):
    """The options change the K of the losses that have one."""
    cfg = Config(dict(model=dict(losses=config)))
    listed = config if isinstance(config, list) else [config]
    found = reported(task=(4., 2.), feature=(1., 4.))
    text = telling.report(found, cfg, list(map(MODELS.build, listed)), 0.05,
                          0.9)
    options = re.findall(r'(\S+\.topk)=K', text)
    cfg.merge_from_dict(dict.fromkeys(options, 7))
    changed = cfg.model.losses
    losses = [MODELS.build(loss) for loss in (
        changed if isinstance(config, list) else [changed])]

    assert options == [f'{key}.topk' for key in keys]
    assert [loss.topk for loss in losses if hasattr(loss, 'topk')] == [
        7] * len(keys)
    assert ('The K and the warm-up that hooks' in text) == bool(keys)
    assert ('tells. The warm-up that a hook sets is not' in text) != bool(keys)


def test_weights_of_several_losses_are_told_apart():
    config = [DEEPKD, DIFFKD, dict(type='mmdeepkd.DiffKDLogitsLoss')]
    found = reported(task=(4., 2.), feature=(1., 4.))
    text = telling.report(
        found, Config(dict(model=dict(losses=config))),
        list(map(MODELS.build, config)), 0.05, 0.9)

    assert ('feature: 0.5 times as much (loss_weight of DiffKDLoss '
            '(model.losses.1) 0.5 instead of 1, loss_weight of '
            'DiffKDLogitsLoss (model.losses.2) 0.5 instead of 1)\n') in text


@pytest.mark.parametrize('wrapper, delta', [
    (dict(delta=0.02), 0.02), (dict(delta=0), 0.), ({}, 0.05),
    (dict(delta=None, offsets=dict(task=0.01, target=-0.03)), 0.03),
    (dict(offsets=dict(task=0., target=0.)), 0.), (None, 0.05)],
    ids=['delta', 'zero', 'none', 'offsets', 'equal', 'no wrapper'])
def test_the_largest_distance_is_the_configs(wrapper, delta):
    assert suggesting.config_delta(Config(dict(
        optim_wrapper=wrapper))) == delta


def loader(batches):
    epochs = []
    sampler = SimpleNamespace(set_epoch=epochs.append)
    fake = type('Loader', (), dict(
        __iter__=lambda self: iter(batches), sampler=None,
        batch_sampler=SimpleNamespace(sampler=sampler)))()
    return fake, epochs


def test_batches_go_on_with_the_next_epoch():
    fake, epochs = loader('ab')

    assert ''.join(itertools.islice(data.endless(fake), 5)) == 'ababa'
    assert epochs == [0, 1, 2]
    with pytest.raises(ValueError, match='train_dataloader gives no batch'):
        next(data.endless(loader('')[0]))


def test_a_classifier_is_probed(config, run, tmp_path):
    text = run(config, '--iters', 20, '--delta', 0.06)

    # What does not fill a block of eight is left out.
    assert '  8/16 batches, ' in text and '\n  16/16 batches, 0 s' in text
    assert '\nThe streams over 16 batches:\n' in text
    assert [line.split()[0] for line in text.splitlines()
            if ' +- ' in line and 'batches' not in line] == STREAMS
    assert 'Cosines of the gradients of a batch: task-target ' in text
    assert 'alpha of DeepKDLoss ' in text and ' instead of 0.9)' in text
    assert 'These are heuristics' in text
    # The lines do what they say in a config of one's own.
    begin = text.index('optim_wrapper = dict(')
    lines = text[begin:text.index('\n\n', begin)]
    own = tmp_path / 'own.py'
    own.write_text(f"_base_ = ['{config}']\n{lines}\n")
    wrapper = build_optim_wrapper(
        nn.Linear(2, 2), Config.fromfile(own).optim_wrapper)
    offsets = wrapper.optimizer.param_groups[0]['offsets']
    assert list(offsets) == STREAMS
    assert 0 < max(map(abs, offsets.values())) <= 0.06
    assert 'at most 0.06 from the base momentum' in text
    assert not list((config.parent / 'work').rglob('*.pth'))


@pytest.mark.parametrize('done, said', [
    (20, 'The streams over 16 batches:'), (7, 'The streams over 7 batches:'),
    (5, 'probe: 5 batches tell nothing: a variance takes at least 6.')])
def test_ctrl_c_ends_with_what_is_known(done, said, config, run, monkeypatch):
    update_params = StreamMeter.update_params
    calls = []

    def interrupted(meter, loss):
        calls.append(loss)
        if len(calls) > done:
            raise KeyboardInterrupt
        update_params(meter, loss)

    monkeypatch.setattr(StreamMeter, 'update_params', interrupted)
    text = run(config, '--iters', 40)

    assert '\nstopped early: this is what is known.\n' in text
    assert said in text
    assert len(calls) == done + 1


def test_a_delta_of_zero_stays_zero(config, run):
    text = run(config, '--iters', 16, '--cfg-options',
               'optim_wrapper.delta=0')

    assert 'at most 0 from the base momentum' in text
    assert 'offsets=dict(task=0, target=0, non_target=0)' in text.replace(
        '-0', '0')


def test_half_a_batch_is_not_known(distiller):
    meter = measure(distiller, 8, 6)
    total = torch.zeros(())
    # Ctrl-C between two streams, say.
    total.streams = dict(task=None)
    with pytest.raises(AttributeError):
        meter.update_params(total)
    with pytest.raises(ValueError, match='6 batches tell nothing'):
        meter.measured()


def test_the_weights_of_a_checkpoint_are_probed(config, run, monkeypatch,
                                                tmp_path):
    models = []
    init = StreamMeter.__init__
    monkeypatch.setattr(StreamMeter, '__init__', lambda self, model, block: (
        models.append(model), init(self, model, block))[1])
    student = write_teacher(resolve_model_config(
        mmdeepkd.config_path('digits100/baseline_resnet8w4.py'), 'student'),
        tmp_path / 'student.pth', seed=7)
    text = run(config, '--iters', 16, '--checkpoint', student)

    assert f'probe: {config}, {student}\n' in text
    assert torch.equal(models[0].head.fc.weight,
                       torch.load(student)['state_dict']['head.fc.weight'])


@pytest.mark.parametrize('arguments, said', [
    (['--iters', '15'], 'probe: --iters must be at least 16, two blocks of 8'),
    (['--delta', '0.1'], "probe: a delta of 0.1 around the config's momentum "
     '0.9 leaves [0, 1): choose less than 0.1.'),
    (['--cfg-options', 'optim_wrapper.optimizer.momentum=0'],
     'momentum 0.0 leaves [0, 1): give the optimizer a momentum.'),
    (['--delta', '-1'], 'probe: --delta must be at least 0, got -1.0.'),
    (['--checkpoint', '/nowhere/s.pth'], '/nowhere/s.pth'),
    (['--cfg-options', 'train_dataloader=None'], 'has no train_dataloader, '),
    (['--cfg-options', 'train_dataloader.batch_size=3000',
      'train_dataloader.drop_last=True'], 'train_dataloader gives no batch: '),
], ids=['iters', 'delta', 'momentum', 'negative', 'file', 'data', 'batch'])
def test_what_cannot_be_probed(arguments, said, config, run):
    text = run(config, *arguments)

    assert 'probe: ' in text and said in text
    assert 'Traceback' not in text


def test_a_config_without_a_teacher(run):
    text = run(mmdeepkd.config_path('digits100/baseline_resnet8w4.py'))

    assert 'configures no distillation: give a config whose model has a' in (
        text)


def test_as_a_user_runs_it_on_detection(write_config, tmp_path):
    config = write_config(tmp_path / 'config.py')
    text = run_tool('analysis/probe.py', config, '--iters', 16, '--work-dir',
                    tmp_path / 'work', '--cfg-options',
                    'train_dataloader.batch_size=1').stdout

    assert text.startswith(f'probe: {config}, as its training starts\n')
    assert '\nThe streams over 16 batches:\n' in text
    assert [line.split()[0] for line in text.splitlines()
            if ' +- ' in line and 'batches' not in line] == STREAMS
    assert 'beta of DeepKDLoss ' in text


def test_estimates_with_one_block_have_no_error():
    assert math.isnan(Measured(6, [{'gsnr/a': 1.}]).of('gsnr')['a'].error)
    assert telling.shown(Estimate(0.12345, math.nan)) == '0.123'
