import json
import sys
from types import SimpleNamespace

import pytest
import torch

from mmdeepkd.engine import DecoupledSGD
from mmdeepkd.losses import DeepKDLoss
from tests.helpers.processes import run_tool
from tests.helpers.toys import equal
from tools.analysis import benchmark
from tools.analysis.benchmark_steps import (
    adapters,
    diffkd_tables,
    gsnr,
    memory,
    nets,
    steps,
    timing,
)
from tools.analysis.benchmark_steps.baselines import (
    ReleasedLoop,
    backward_by_stream,
    kd_loss,
    released_losses,
    released_momentum,
)
from tools.analysis.benchmark_steps.comparison import Plan
from tools.analysis.benchmark_steps.growth import exponent

SECTIONS = ('classification', 'detection', 'loss', 'optimizer', 'ddp',
            'gsnr', 'diffkd', 'growth')


@pytest.fixture(scope='module')
def smoke(tmp_path_factory):
    """Run the whole tool once, on its smallest sizes."""
    out = tmp_path_factory.mktemp('benchmark')
    printed = run_tool('analysis/benchmark.py', 'all', '--smoke', '--threads',
                       '1', '--out', out, timeout=600).stdout
    data = {name: json.loads((out / f'{name}.json').read_text())['data']
            for name in SECTIONS}
    return SimpleNamespace(out=out, printed=printed, data=data)


def all_seconds(value):
    """Yield every list of seconds in a section's data."""
    for key, inner in value.items():
        if key == 'seconds':
            yield from inner.values() if isinstance(inner, dict) else [inner]
        elif isinstance(inner, dict):
            yield from all_seconds(inner)


@pytest.mark.parametrize('name', SECTIONS)
def test_every_section_is_timed_and_has_its_table(smoke, name):
    times = list(all_seconds(smoke.data[name]))
    text = (smoke.out / f'{name}.md').read_text()

    assert times and all(len(rounds) == 2 for rounds in times)
    assert all(seconds > 0 for rounds in times for seconds in rounds)
    assert text.startswith('## ') and '\n| ' in text
    assert 'nan' not in text and '- Commit: ' in text
    assert text.strip() in (smoke.out / 'speed.md').read_text()
    assert f'/8] {name}\n' in smoke.printed


@pytest.mark.parametrize('name', ['classification', 'detection'])
def test_all_steps_compute_the_losses_of_the_baseline(smoke, name):
    differences = {arm: facts['loss_difference']
                   for arm, facts in smoke.data[name]['arms'].items()}

    assert {'plain', 'three', 'ours', 'bf16', 'no speedup'} <= (
        differences.keys())
    assert all(value < (5e-2 if arm in ('bf16', 'all') else 1e-3)
               for arm, value in differences.items())


@pytest.mark.parametrize('name', ['classification', 'detection'])
def test_memory_and_parts_of_a_step_are_told(smoke, name):
    ours, three = (smoke.data[name]['arms'][arm] for arm in ('ours', 'three'))

    assert ours['state_bytes'] < three['state_bytes']
    assert 0 < ours['gradient_bytes'] < ours['peak_bytes']
    assert len([p for p in three['parts'] if 'backward' in p]) == 3
    assert len([p for p in ours['parts'] if 'backward' in p]) == 2
    assert min(ours['parts'].values()) > 0


def test_two_momenta_are_sent_once_each(smoke):
    found = smoke.data['ddp']

    for arm in found['arms'].values():
        # Beside the gradients what the ranks agree on.
        assert 0 <= arm['sent_bytes'] - found['expected_bytes'] < 1000


def test_windows_of_both_pairs_are_measured(smoke):
    found = smoke.data['gsnr']

    assert list(found['cases']) == [
        f'{pair}, merge={merge}' for pair in ('classification', 'detection')
        for merge in (True, False)]
    for case in found['cases'].values():
        # Two copies of three streams.
        assert case['window']['peak_bytes'] > case['plain']['peak_bytes']
    assert 'a window every 200 steps costs, %' in (
        smoke.out / 'gsnr.md').read_text()


def test_diffkd_is_compared_with_the_same_step_without(smoke):
    for pair, bases in dict(classification=['KD', 'DeepKD'],
                            detection=['DeepKD']).items():
        arms = smoke.data['diffkd'][pair]['arms']
        backwards = {name: sum('backward' in part for part in arm['parts'])
                     for name, arm in arms.items()}
        assert backwards == {name: count for name, count in [
            ('KD', 1), ('KD + DiffKD', 1), ('DeepKD', 2), ('shared', 2),
            ('own', 3)] if name in arms}
        for name, arm in arms.items():
            assert ('DiffKD, forward' in arm['parts']) == (name not in bases)
        # One more buffer, of all that DiffKD's gradient reaches.
        assert (arms['DeepKD']['state_bytes'] < arms['shared']['state_bytes']
                < arms['own']['state_bytes'])


def test_diffkds_modules_are_measured_alone(smoke):
    for pair in ('classification', 'detection'):
        half, whole, released = smoke.data['diffkd'][pair]['alone'].values()
        assert half['parameters'] == released['parameters'] < (
            whole['parameters'])
        assert all(each['peak_bytes'] > 0 and set(each['seconds']) == {
            'forward', 'backward'} for each in (half, whole, released))


class Scaled(torch.nn.Module):
    """A feature loss of one number."""

    needs_adapter = True

    def forward(self, adapter, student, teacher, place):
        return SimpleNamespace(losses={'': (adapter(student) * teacher).sum(),
                                       'own': adapter.weight.sum()})


def test_modules_alone_get_the_features_of_the_step():
    net, adapter = (torch.nn.Linear(2, 2, bias=False) for _ in range(2))
    loss, asked = Scaled(), []

    class Distiller(torch.nn.Module):
        losses = [torch.nn.Identity(), loss]

        def data_preprocessor(self, batch, training):
            return dict(inputs=batch)

        def forward(self, inputs, mode):
            loss(adapter, net(inputs), 3 * inputs, place='here')

    alone = adapters.Alone(Distiller(), torch.ones(1, 2))
    alone(asked.append)

    call, = alone.calls
    assert call.place == 'here' and call.student.is_leaf
    assert equal([call.student, call.teacher],
                 [net(torch.ones(1, 2)), torch.full((1, 2), 3.)])
    assert asked == ['forward', 'backward']
    # Nothing stays: no gradient, no hook.
    assert adapter.weight.grad is call.student.grad is None
    assert not loss._forward_pre_hooks


def test_what_diffkd_adds_is_taken_round_by_round():
    def arm(title, seconds, peak):
        return dict(title=title, seconds=seconds, peak_bytes=peak,
                    state_bytes=peak, parts={'backward: task': 1.0})

    # The machine was twice as slow in the second round.
    text = diffkd_tables._steps({
        'KD': arm('KD', [1., 2., 1.], 2**20),
        'KD + DiffKD': arm('with', [1.5, 3., 1.5], 3 * 2**20)})

    row = [cell.strip() for cell in text.splitlines()[-1].split('|')[1:-1]]
    assert row == ['with', '1500 (1500..2250)', '**1.50** (1.50..1.50)',
                   '500 (500..750)', '3.00', '+2.00', '3.00', '+2.00']


def test_a_window_measures_every_one_of_its_steps(tmp_path, monkeypatch):
    model, gathered, reports = torch.nn.Linear(2, 1), [], []
    monkeypatch.setattr(gsnr, 'Agreement', lambda distiller: SimpleNamespace(
        close=lambda: None))
    monkeypatch.setattr(gsnr.StreamBurst, 'add',
                        lambda burst, observation: gathered.append(
                            list(observation.grads)))
    monkeypatch.setattr(gsnr.StreamBurst, 'report', lambda *args: {})
    monkeypatch.setattr(gsnr, 'write_report',
                        lambda runner, report: reports.append(len(gathered)))

    def train_step(batch, wrapper):
        loss = model(batch).sum()
        wrapper.update_params(dict(task=loss, target=2 * loss))

    model.train_step = train_step
    window = gsnr.Window(3, tmp_path / 'a', model, lambda: torch.ones(1, 2),
                         lr=0.1, weight_decay=0.0, delta=0.05)
    window()
    # A step after it is not measured.
    super(gsnr.Window, window).__call__()

    assert gathered == [['task', 'target']] * 3 and reports == [3]


def test_no_round_is_left_out(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(gsnr, '_classifiers', lambda *args: {})
    monkeypatch.setattr(gsnr, '_detectors', lambda *args: {})
    monkeypatch.setattr(gsnr, 'interleaved', lambda steps, rounds, *args,
                        **settings: asked.append(rounds))
    gsnr.run(Plan('cpu', 9, True, print), tmp_path)

    assert asked == [9, 9]


def test_a_windows_overhead_by_hand():
    # Two steps of 1.5 s instead of 1 s, and a report of 0.4 s.
    found = gsnr.overheads([1., 2.], [3.4, 6.8], 2, 100)

    assert found == pytest.approx([0.014, 0.014])


def test_the_growth_is_drawn(smoke):
    assert (smoke.out / 'growth.png').stat().st_size > 10000
    assert set(smoke.data['growth']['series']) == {'batch', 'classes', 'rois'}


def test_a_missing_gpu_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(sys, 'argv', [
        'benchmark.py', 'loss', '--device', 'cuda', '--out', str(tmp_path)])

    with pytest.raises(SystemExit, match='--device cuda needs a GPU that'):
        benchmark.main()
    assert not list(tmp_path.iterdir())


def test_ratios_are_taken_round_by_round():
    # The machine was twice as slow in the second round.
    found = timing.ratios([1., 2., 1.], [2., 4., 2.])

    assert found == (0.5, 0.5, 0.5)
    assert timing.spread([3., 1., 2.]) == (2., 1.5, 2.5)


def test_rounds_alternate_in_order_after_the_warm_up():
    calls = []
    arms = {name: lambda name=name: calls.append(name) for name in 'ab'}
    times = timing.interleaved(arms, 3, 'cpu', lambda line: None, warm_up=1,
                               repeats=2)

    assert ''.join(calls) == 'ab' + 'aabb' + 'bbaa' + 'aabb'
    assert [len(rounds) for rounds in times.values()] == [3, 3]


def test_the_peak_counts_what_is_held_at_once():
    def two_then_one():
        first = torch.ones(1000)
        second = torch.ones(1000)
        del first, second
        return torch.ones(1500)

    assert 8000 <= memory.peak_bytes(two_then_one, 'cpu') < 9000


def test_a_power_law_has_its_exponent():
    assert exponent({n: 3 * n**1.5 for n in (10, 100, 700)}) == (
        pytest.approx(1.5))


@pytest.mark.parametrize('far', [0.1, float('nan')])
def test_steps_that_compute_other_losses_are_refused(far):
    losses = dict(a=dict(task=1.0), b=dict(task=1 + far))

    with pytest.raises(RuntimeError, match='b computes other losses than a'):
        nets.agreement(losses, 'a', dict(a=0, b=0.01))
    if far == far:
        assert nets.agreement(losses, 'a', dict(a=0, b=0.2))['b'] == (
            pytest.approx(far))


def logits(classes=10):
    torch.manual_seed(0)
    return (torch.randn(8, classes, dtype=torch.float64, requires_grad=True),
            torch.randn(8, classes, dtype=torch.float64) * 3,
            torch.randint(classes, (8, )))


@pytest.mark.parametrize('topk', [None, 4])
@pytest.mark.parametrize('base', ['kd', 'dkd'])
def test_the_baselines_loss_is_the_released_one(topk, base):
    student, teacher, target = logits()
    found = released_losses(student, teacher, target, 4.0, topk, base,
                            (1.0, 8.0))
    wanted = DeepKDLoss(base, 1.0, 8.0, 4.0, topk, semantics='released')(
        student, teacher, target)

    for stream in ('target', 'non_target'):
        torch.testing.assert_close(found[stream], wanted[stream])


def test_the_baselines_parts_sum_to_its_kd():
    student, teacher, target = logits(2)
    parts = released_losses(student, teacher, target, 4.0)

    # Of two classes there is one non-target class only: no divergence.
    torch.testing.assert_close(parts['target'],
                               kd_loss(student, teacher, 4.0))


def test_the_baselines_loop_is_the_released_optimizer():
    torch.manual_seed(0)
    ours, loop = ([torch.nn.Parameter(torch.ones(3, 2, dtype=torch.float64))]
                  for _ in range(2))
    optimizers = [
        DecoupledSGD(ours, 0.1, 0.9, dict(
            task=0.05, target=-0.05, non_target=0.05), 0.01,
            semantics='released'),
        ReleasedLoop(loop, 0.1, released_momentum(0.9, 0.05), 0.01)
    ]
    for _ in range(4):
        grads = {stream: [torch.randn(3, 2, dtype=torch.float64)]
                 for stream in ('task', 'target', 'non_target')}
        for optimizer in optimizers:
            optimizer.step(grads)

    torch.testing.assert_close(ours, loop)


def test_the_baselines_backwards_keep_the_streams_apart():
    param = torch.nn.Parameter(torch.tensor([2.0]))
    square = param**2
    laps = []
    found = backward_by_stream(
        dict(task=square.sum(), target=3 * param.sum(),
             non_target=2 * square.sum()), [param], laps.append)

    assert equal([found[s][0] for s in ('task', 'target', 'non_target')],
                 [torch.tensor([v]) for v in (4., 3., 8.)])
    assert laps == [f'backward: {s}'
                    for s in ('non_target', 'target', 'task')]


def test_one_backward_is_torchs_sgd():
    param = torch.nn.Parameter(torch.tensor([2.0]))
    step = steps.OneBackward(
        lambda lap: dict(task=param.sum(), distill=param.sum()), [param],
        lr=0.5, weight_decay=0.0)
    step()

    assert float(param.detach()) == 1.0 and param.grad is None
