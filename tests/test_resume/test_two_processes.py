"""Two processes, interrupted and resumed, bit for bit."""
from unittest import mock

import torch
from mmengine.hooks import Hook

from tests.helpers.gloo import run_ranks

from .digits_runs import classification_config, detection_config
from .runs import Listener, assert_same_run, go_through_and_resume, start
from .toy_runs import toy_config


def resume_on_rank(rank, folder, cfg, stop):
    """Compare on this rank; return its pixels and both ranks' states."""
    cfg['launcher'] = 'pytorch'
    with mock.patch('mmengine.runner.loops.time.sleep'):
        straight, resumed = go_through_and_resume(cfg, folder, stop)
    assert_same_run(straight, resumed)
    return dict(
        pixels=[value[0] for value in resumed[1].values()],
        states=resumed[0]['meta']['random_states']['ranks'])


class SavesAlone(Hook):
    """A user's hook: only the first rank saves, between two iterations."""

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        if runner.rank == 0 and runner.iter == 3:
            runner.save_checkpoint(runner.work_dir, 'alone.pth',
                                   by_epoch=False)


def first_rank_saves(rank, folder):
    cfg = dict(toy_config(False), launcher='pytorch')
    said = Listener()
    with mock.patch('mmengine.runner.loops.time.sleep'):
        _, seen = start(cfg, folder / 'a', SavesAlone())
        cfg['load_from'] = str(folder / 'a' / 'alone.pth')
        _, again = start(cfg, folder / 'b', said, resume=True)
    return dict(straight=list(seen), resumed=list(again),
                said=[text for _, text in said.records if 'bit' in text])


def streams_of_sgd(rank, folder):
    return resume_on_rank(rank, folder, toy_config(False, val_interval=6), 7)


def bf16_average_accumulation(rank, folder):
    # One work dir, but a teacher's file for each.
    (folder / str(rank)).mkdir()
    cfg = classification_config(folder / str(rank), workers=1)
    return resume_on_rank(rank, folder, cfg, 7)


def detector(rank, folder):
    (folder / str(rank)).mkdir()
    return resume_on_rank(rank, folder, detection_config(folder / str(rank)),
                          5)


def check_data(results):
    """Each rank had data of its own."""
    for first, second in zip(*(r['pixels'] for r in results)):
        assert not torch.equal(first, second)


def test_streams_of_sgd_by_iteration(tmp_path):
    results = run_ranks(streams_of_sgd, tmp_path, timeout=200)
    check_data(results)
    first, second = results[0]['states']

    # The model's draws differ in number.
    assert not torch.equal(first['torch'], second['torch'])


def test_bf16_with_average_and_accumulation_by_epoch(tmp_path):
    check_data(run_ranks(bf16_average_accumulation, tmp_path, timeout=200))


def test_a_detector_with_streams_of_sgd_by_epoch(tmp_path):
    check_data(run_ranks(detector, tmp_path, timeout=200))


def test_the_first_rank_may_save_alone(tmp_path):
    """As MMEngine's runner lets it; the other rank does not wait."""
    first, second = run_ranks(first_rank_saves, tmp_path)

    for result in (first, second):
        assert result['straight'] == list(range(18))
        assert result['resumed'] == list(range(4, 18))
    # Ranks but the first log errors only, unless the test listens.
    assert 'states of 1 process(es), this run has 2' in first['said'][0]
