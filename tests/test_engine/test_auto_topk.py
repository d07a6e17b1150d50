"""DynamicTopKHook that asks the teacher for its K and its phases."""
import copy
import re
from unittest.mock import Mock

import pytest
import torch
import torch.distributed as dist
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import EpochBasedTrainLoop

from mmdeepkd.engine import DynamicTopKHook
from mmdeepkd.engine import auto_topk as module
from mmdeepkd.engine.auto_topk import choose_topk
from mmdeepkd.engine.hooks import dynamic_topk_hook as hook_module
from mmdeepkd.engine.topk_choice import Choice, remarks, stored
from mmdeepkd.engine.topk_settings import Wish
from mmdeepkd.functional import standardize_logits
from mmdeepkd.functional.auto_topk import covered_mass
from mmdeepkd.losses import DeepKDLoss, MLKDLoss
from tests.helpers.classifiers import Images, make_distiller, resnet
from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import distiller_config, write_teacher
from tests.helpers.distillers import make_distiller as make_detector
from tests.helpers.gloo import run_ranks
from tests.helpers.training import Scenes, run_training
from tests.test_resume.digits_runs import classification_config
from tests.test_resume.runs import (
    Listener,
    assert_same_run,
    go_through_and_resume,
    last,
    same,
    start,
)

from .teacher_samples import DrawingImages, Rows, ready, ready_detector

WISH = Wish(None, None, 0.05, 0.9, 100)
CLASSES = 12


def classifier(folder, **kwargs):
    return make_distiller(folder, resnet(CLASSES), resnet(CLASSES), **kwargs)


def images(count=6):
    return Images(images=count, num_classes=CLASSES)


def choose(runner, **wish):
    model = getattr(runner.model, 'module', runner.model)
    return choose_topk(runner, model.losses, model.num_logits,
                       WISH._replace(**wish))


def rows_of(runner, loss):
    rows = Rows()
    module.sample_teacher(runner, loss, 100, rows)
    return rows


def expected(rows, temperature=4., standardize=False, share=0.9, k0=1):
    """K and phases by the definitions, row by row in Python."""
    logits = standardize_logits(rows.logits) if standardize else rows.logits
    covered = covered_mass(logits, rows.target, temperature).tolist()
    counts = [min(k for k, mass in enumerate(row, 1) if mass >= share)
              for row in covered]
    k = max(2, int(sum(counts) / len(counts) + 0.5))
    mean = [sum(column) / len(covered) for column in zip(*covered)]
    return k, (round(mean[k0 - 1], 2), round(mean[k - 1], 2))


@pytest.mark.parametrize('temperature, standardize', [
    (0.2, False), (4., False), (0.5, True)])
def test_k_and_phases_are_those_of_the_loss(temperature, standardize,
                                            tmp_path):
    distiller = classifier(tmp_path, losses=[
        dict(type='mmdeepkd.KDLoss', temperature=9.),
        dict(type='mmdeepkd.DeepKDLoss', temperature=temperature,
             standardize=standardize),
        dict(type='mmdeepkd.DeepKDLoss', temperature=77.)])
    runner = ready(distiller, images())
    choice = choose(runner)

    rows = rows_of(runner, distiller.losses[1])
    assert choice[:2] == expected(rows, temperature, standardize)
    assert f'at temperature {temperature:g}, mean over 6 samples of 6 ' in (
        choice.why_static_k)


def test_of_several_temperatures_the_first():
    loss = MLKDLoss(temperatures=(3., 5.), base='kd', standardize=True)

    assert module._softening(loss) == (3., True)


def test_a_loss_without_a_temperature_is_named():
    with pytest.raises(TypeError, match='Bare has topk but no temperature'):
        choose_topk(None, [Bare()], 5, WISH)


def test_what_is_given_stays(tmp_path):
    runner = ready(classifier(tmp_path), images())
    rows = rows_of(runner, runner.model.losses[0])
    mean = covered_mass(rows.logits, rows.target, 4.).mean(0).tolist()

    choice = choose(runner, static_k=5, initial_ratio=0.25)
    assert choice.static_k == 5 and not choice.why_static_k
    assert choice.phases == (round(mean[2], 2), round(mean[4], 2))
    assert f'the best 3 hold {mean[2]:.3f}, the best 5 {mean[4]:.3f} at' in (
        choice.why_phases)
    choice = choose(runner, phases=(0.1, 0.2))
    assert choice.phases == (0.1, 0.2) and not choice.why_phases
    assert choice.static_k == expected(rows)[0]


def test_of_a_loss_on_the_foreground_the_foreground(tmp_path):
    distiller = make_detector(
        tmp_path, faster_rcnn(), faster_rcnn(), losses=dict(
            type='mmdeepkd.ForegroundLoss',
            loss=dict(type='mmdeepkd.DeepKDLoss')))
    runner = ready_detector(distiller, Scenes(images=4))
    torch.manual_seed(0)
    rows = rows_of(runner, distiller.losses[0].loss)
    torch.manual_seed(0)

    assert 3 not in rows.target.tolist()
    assert f'over {len(rows.target)} samples of 4 ' in (
        choose(runner).why_static_k)


def test_a_sample_without_logits_is_named(tmp_path):
    runner = ready(classifier(tmp_path), images())
    unused = DeepKDLoss()
    with pytest.raises(ValueError, match='DeepKDLoss gets, and on a sample '
                       'of 6 training images it got none: raise sample_size'):
        choose_topk(runner, [unused], CLASSES, WISH)


def test_a_teacher_that_is_not_finite_is_named(tmp_path):
    runner = ready(classifier(tmp_path), images())
    runner.model.teacher.head.fc.bias.data[0] = float('nan')
    with pytest.raises(FloatingPointError, match='logits of the teacher hold'):
        choose(runner)


@pytest.mark.parametrize('end, steps, warned', [
    (0.9, 21, False), (0.95, 21, True), (0.95, 41, False), (1.0, 1000, True)])
def test_a_last_phase_of_less_than_two_steps_is_told(end, steps, warned):
    choice = Choice(50, (0.5, end), 'why', 'why')
    said = remarks(choice, WISH, 5, steps)
    # What was given is what was wanted.
    given = WISH._replace(phases=choice.phases)

    assert remarks(choice, given, 5, steps) == []
    assert [text[:14] for text in said] == ['the last phase'] * warned
    assert all(f'has fewer than two of the {steps} steps: give' in text
               for text in said)
    progress = [k / (steps - 1) for k in range(steps)]
    assert warned == (sum(value > end for value in progress) < 2)


def test_a_first_phase_without_growth_is_told():
    said, = remarks(Choice(5, (0.3, 0.7), 'why', ''), WISH, 5, 100)

    assert said.startswith('K begins with 5, the static K itself, so that it')
    assert 'set a smaller initial_ratio' in said


def failing_on_rank(rank, folder, dies):
    """Return what each rank raises where the second alone fails."""
    distiller = classifier(folder / str(rank))
    runner = ready(distiller, images())
    if rank == 1 and dies == 'teacher':
        distiller.teacher.head.fc.bias.data[0] = float('nan')
    if rank == 1 and dies == 'data':
        runner.train_dataloader = torch.utils.data.DataLoader(
            Unreadable(), collate_fn=runner.train_dataloader.collate_fn)
    try:
        choose(runner)
    except Exception as error:
        return type(error).__name__, str(error)


class Unreadable(Images):
    """Its files are gone."""

    def __init__(self):
        super().__init__(images=6, num_classes=CLASSES)

    def __getitem__(self, index):
        raise OSError('no file here.')


def fail_on_rank(rank, folder):
    return [failing_on_rank(rank, folder, dies)
            for dies in ('teacher', 'data')]


def test_what_fails_in_one_process_ends_all(tmp_path):
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
    first, second = run_ranks(fail_on_rank, tmp_path)

    assert first == second
    (teacher, said), (data, why) = first
    assert teacher == 'FloatingPointError' and data == 'RuntimeError'
    begin = 'DynamicTopKHook could not look at the teacher: '
    assert said.startswith(f'{begin}FloatingPointError: the logits of the ')
    assert why == f'{begin}OSError: no file here on rank 1.'


def choose_on_rank(rank, folder):
    """Each has noise of its own; the model waits for the other's."""
    distiller = classifier(folder / str(rank), losses=dict(
        type='mmdeepkd.DeepKDLoss', temperature=0.02))
    torch.manual_seed(rank)
    runner = ready(distiller, DrawingImages(images=6, num_classes=CLASSES),
                   wrapped=MMDistributedDataParallel(distiller))
    distiller.backbone.register_forward_hook(
        lambda *_: dist.all_reduce(torch.ones(())))
    seen = rows_of(runner, distiller.losses[0]).logits
    return dict(seen=seen, choice=list(choose(runner)))


def test_two_processes_choose_as_one(tmp_path):
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
    first, second = run_ranks(choose_on_rank, tmp_path)

    assert not torch.equal(first['seen'], second['seen'])
    assert first['choice'] == second['choice']


# Of whole runs.
AUTO = dict(type='mmdeepkd.DynamicTopKHook', static_k='auto', phases='auto',
            initial_ratio=0.1, sample_size=32, share=0.6)


@pytest.fixture
def samples(monkeypatch):
    """Count the looks at the teacher."""
    taken = []

    def counting(*args):
        taken.append(args)
        return sample_teacher(*args)

    sample_teacher = module.sample_teacher
    monkeypatch.setattr(module, 'sample_teacher', counting)
    return taken


WRAPPER = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05,
               optimizer=dict(type='SGD', lr=0.01, momentum=0.9))


def with_auto(cfg):
    cfg = copy.deepcopy(cfg)
    cfg.default_hooks.topk = AUTO
    return cfg


def with_numbers(cfg, choice):
    """Give what was chosen by hand."""
    cfg = copy.deepcopy(cfg)
    cfg.default_hooks.topk = dict(type=AUTO['type'], initial_ratio=0.1,
                                  static_k=choice[0], phases=choice[1])
    return cfg


def test_a_classifiers_run_is_that_of_the_same_numbers_and_resumes(
        samples, tmp_path):
    cfg = classification_config(tmp_path, workers=1)
    straight, resumed = go_through_and_resume(with_auto(cfg), tmp_path, 13)
    assert_same_run(straight, resumed)
    # The straight run and the one that is interrupted.
    assert len(samples) == 2

    kept = straight[0]['message_hub']['runtime_info']['dynamic_topk']
    runner, seen = start(with_numbers(cfg, kept['choice']), tmp_path / 'given')
    assert len(samples) == 2
    assert same(seen, straight[1])
    for key in ('state_dict', 'optimizer', 'ema_state_dict'):
        assert same(last(runner)[key], straight[0][key])


def test_a_detectors_run_is_that_of_the_same_numbers(samples, tmp_path):
    """Its RoI sampler draws, in the sample too."""
    model = distiller_config(faster_rcnn(9), faster_rcnn(9), write_teacher(
        faster_rcnn(9), tmp_path / 'teacher.pth'))

    def train(name, **topk):
        hook = dict(type=AUTO['type'], by_epoch=False, **topk)
        return run_training(model, WRAPPER, tmp_path / name,
                            scenes=dict(images=10, num_classes=9),
                            custom_hooks=[hook])

    first, losses = train('auto', static_k='auto', phases='auto', share=0.6)
    static_k, phases = first.message_hub.get_info('dynamic_topk')['choice'][:2]
    second, again = train('given', static_k=static_k, phases=phases)

    assert len(samples) == 1
    assert losses == again
    assert same(first.model.state_dict(), second.model.state_dict())


def test_the_log_has_the_choice_and_its_reason(samples, tmp_path):
    cfg = with_auto(classification_config(tmp_path))
    cfg.train_cfg.max_epochs = 1
    said = Listener()
    runner, _ = start(cfg, tmp_path / 'a', said)
    line, = (t for _, t in said.records if t.startswith('Dynamic top-K: st'))
    kept = runner.message_hub.get_info('dynamic_topk')['choice']

    found = re.fullmatch(
        r'Dynamic top-K: static K (\d+) of 99 non-target classes \(auto: on '
        r"average ([\d.]+) of the teacher's best hold 0.6 of its non-target "
        r'mass at temperature 4, mean over 32 samples of 32 training images, '
        r'between (\d+) and (\d+)\); phases ([\d.]+), ([\d.]+) \(auto: of '
        r"the teacher's non-target mass the best 10 hold 0.\d+, the best "
        r'(\d+) 0.\d+\)\.', line)
    assert found
    k, mean, low, high, begin, end, again = map(float, found.groups())
    assert k == again == kept[0] == int(mean + 0.5)
    assert low <= mean <= high
    assert [begin, end] == kept[1]
    warning, = (t for _, t in said.records if 'with auto: the last' in t)
    assert warning.startswith('Dynamic top-K with auto: the last phase, in ')
    row = next(t for _, t in said.records if 'resolved' in t)
    assert f'K from 10 to {kept[0]} (auto) at {100 * begin:g} % of the ' in row


class Bare:
    topk = None


def chosen(hook, hub, monkeypatch, iteration):
    """Start a run; return its choice and whether the teacher was asked."""
    asked = []

    def choose(*args):
        asked.append(args)
        return Choice(7, (0.25, 0.5), 'new', 'new')

    monkeypatch.setattr(hook_module, 'choose_topk', choose)
    runner = Mock(iter=iteration, message_hub=hub, max_epochs=20,
                  train_loop=Mock(spec=EpochBasedTrainLoop))
    runner.model = Mock(spec=['losses', 'loss_names', 'num_logits'],
                        num_logits=21, losses=[Bare()])
    hook.before_train(runner)
    return runner.message_hub.get_info('dynamic_topk')['choice'][0], len(asked)


@pytest.mark.parametrize('change, iteration, result', [
    ({}, 3, (5, 0)),
    # A run that begins has the hub of another, of the same name.
    ({}, 0, (7, 1)),
    (dict(share=0.7), 3, (7, 1)),
    (dict(phases=(0.3, 0.7)), 3, (7, 1)),
    (dict(static_k=9, share=0.95), 3, (7, 1)),
])
def test_a_resumed_run_keeps_its_choice_unless_asked_anew(
        change, iteration, result, monkeypatch, request):
    hub = MessageHub.get_instance(f'kept {request.node.name}')
    wish = Wish(None, None, 0.1, 0.6, 32)
    kept = stored(Choice(5, (0.5, 0.75), 'old', 'old'), wish)
    hub.update_info('dynamic_topk', kept)
    hook = DynamicTopKHook(**{
        **{k: v for k, v in AUTO.items() if k != 'type'}, **change})

    assert chosen(hook, hub, monkeypatch, iteration) == result


@pytest.mark.parametrize('settings, error, message', [
    (dict(static_k='Auto'), ValueError, "is 'Auto' but must be a number"),
    (dict(phases='ab'), ValueError, "needs two phases.*got 'ab'"),
    (dict(static_k='auto', share=1.0), ValueError, 'share is 1.0'),
    (dict(static_k='auto', share=0), ValueError, 'share is 0 but'),
    (dict(share=0.9), ValueError, 'share=0.9 .* it is None: set static_k='),
    (dict(static_k=4, phases='auto', share=0.9), ValueError,
     'share=0.9 .* it is 4'),
    (dict(sample_size=64), ValueError, 'sample_size=64 .* nothing is'),
    (dict(static_k='auto', sample_size=0), ValueError,
     'sample_size is 0 but must be at least 1'),
    (dict(static_k='auto', sample_size=2.5), TypeError,
     'sample_size is 2.5 but must be an int'),
    (dict(static_k='auto', initial_ratio=2), ValueError,
     'initial_ratio is 2'),
])
def test_settings_without_a_meaning_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        DynamicTopKHook(**settings)


def test_both_may_be_auto_or_one():
    assert DynamicTopKHook(static_k='auto', share=0.5).phases == (0.3, 0.7)
    assert DynamicTopKHook(phases='auto', sample_size=64).static_k is None
