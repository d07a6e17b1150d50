"""Two processes train what one trains on both halves of every batch."""
import os

import pytest
import torch

from tests.helpers.processes import ROOT, free_port, run_command, run_tool

# One image per process and step; every choice depends on the image alone, and
# no statistics are collected.
DETERMINISTIC = """
model['student']['backbone'] = dict(norm_eval=True)
train_dataloader['batch_size'] = 1
optim_wrapper = dict(delta=0.05, optimizer=dict(lr=0.01))
param_scheduler = []
"""
ACCUMULATE = "optim_wrapper['accumulative_counts'] = 2\n"
UNREDUCED = (
    "custom_imports['imports'] += ['tests.helpers.second_stream_unreduced']\n")


def weights(work_dir):
    return torch.load(work_dir / 'epoch_2.pth')['state_dict']


def difference(one, other):
    assert one.keys() == other.keys()
    return max(float((one[k].double() - other[k].double()).abs().max())
               for k in one)


@pytest.fixture(scope='module')
def one_process(write_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp('one')
    config = write_config(folder / 'own.py', DETERMINISTIC + ACCUMULATE)
    run_tool('train.py', config, '--work-dir', folder)
    return weights(folder)


def two_processes(config, folder):
    run_tool('dist_train.sh', config, '2', '--work-dir', folder,
             env=dict(PORT=free_port()))
    return weights(folder)


def test_two_processes_equal_one(one_process, write_config, tmp_path):
    config = write_config(tmp_path / 'own.py', DETERMINISTIC)
    both = two_processes(config, tmp_path)

    assert difference(both, one_process) < 1e-5


def test_without_the_second_streams_reduction_they_do_not(
        one_process, write_config, tmp_path):
    config = write_config(tmp_path / 'own.py', DETERMINISTIC + UNREDUCED)
    both = two_processes(config, tmp_path)

    assert difference(both, one_process) > 1e-4


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh',
                                    'slurm_train.sh'])
def test_usage_without_arguments(script):
    result = run_command('bash', ROOT / 'tools' / script)

    assert result.returncode == 2
    assert result.stderr.startswith('usage: ')


@pytest.mark.parametrize('script, arguments, run', [
    ('dist_train.sh', ['own.py', '4', '--amp'],
     'train.py own.py --launcher pytorch --amp'),
    ('dist_test.sh', ['own.py', 'net.pth', '4', '--work-dir', 'x'],
     'test.py own.py net.pth --launcher pytorch --work-dir x'),
])
def test_variables_of_openmmlabs_scripts(script, arguments, run, tmp_path):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    result = run_tool(
        script, *arguments, env=dict(
            PYTHON=str(python), NNODES='3', NODE_RANK='2', PORT='1234',
            MASTER_ADDR='10.0.0.1'))

    assert result.stdout.strip() == (
        '-m torch.distributed.run --nnodes=3 --node_rank=2 '
        '--master_addr=10.0.0.1 --master_port=1234 --nproc_per_node=4 '
        f'{ROOT}/tools/{run}')


def test_slurm_gets_the_job(tmp_path):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\necho "$@"\n')
    srun.chmod(0o755)
    result = run_tool(
        'slurm_train.sh', 'gpu', 'job', 'own.py', 'work', '--amp',
        env=dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS='4',
                 PYTHON='python', SRUN_ARGS='--quiet --mem=8G'))

    assert result.stdout.strip() == (
        '-p gpu --job-name=job --gres=gpu:4 --ntasks=4 --ntasks-per-node=4 '
        '--cpus-per-task=5 --kill-on-bad-exit=1 --quiet --mem=8G python -u '
        f'{ROOT}/tools/train.py own.py --work-dir=work --launcher=slurm '
        '--amp')
