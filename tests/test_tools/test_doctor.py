"""tools/doctor.py: each known trap, and the command that fixes it."""
import subprocess
import sys

import pytest

from tests.helpers.processes import ROOT, run_command
from tools.doctor_steps.facts import Facts, try_imports
from tools.doctor_steps.stacks import nearest, read_stacks, summary, table
from tools.doctor_steps.traps import find

STACKS = read_stacks(ROOT / 'requirements')
MODERN, CLASSIC = STACKS
GOOD = {
    'modern': dict(torch='2.12.1', torchvision='0.27.1', mmengine='0.10.7',
                   mmcv='2.1.0', mmdet='3.3.0', mmpretrain='1.2.0',
                   numpy='2.3.1', opencv_python='4.12.0.88',
                   setuptools='80.9.0', pycocotools='2.0.10', timm='1.0.20'),
    'classic': dict(torch='2.1.2+cu121', torchvision='0.16.2+cu121',
                    mmengine='0.10.7', mmcv='2.1.0', mmdet='3.3.0',
                    mmpretrain='1.2.0', numpy='1.26.4',
                    opencv_python='4.11.0.86', setuptools='80.9.0',
                    pycocotools='2.0.8', timm='1.0.20'),
}
MMCV = ('MMCV_WITH_OPS=1 pip install --force-reinstall --no-deps '
        '--no-build-isolation --no-cache-dir --no-binary mmcv mmcv==2.1.0')
PAIR = 'pip install --force-reinstall torch==2.12.1 torchvision==0.27.1'
NO_OPS = "ModuleNotFoundError: No module named 'mmcv._ext'"
OTHER_TORCH = ('ImportError: /x/mmcv/_ext.cpython-310.so: undefined symbol: '
               '_ZN2at4_ops5zeros4callE')
NO_NMS = 'RuntimeError: operator torchvision::nms does not exist\nmore'
NO_GL = 'ImportError: libGL.so.1: cannot open shared object file'


def facts(base='modern', python=(3, 10), errors=None, cuda='12.1', gpu=True,
          driver=True, **versions):
    """A tested stack but for some versions; None leaves a package out."""
    versions = {name.replace('_', '-'): version
                for name, version in {**GOOD[base], **versions}.items()
                if version is not None}
    return Facts(python, versions, errors or {}, cuda, gpu, driver)


def found(given):
    return find(given, nearest(given, STACKS))


@pytest.mark.parametrize('base', GOOD)
def test_nothing_is_wrong_with_a_tested_stack(base):
    given = facts(base)
    stack = nearest(given, STACKS)

    assert found(given) == []
    assert stack.name == base
    assert summary(given, stack) == f'this is the tested stack "{base}"'


@pytest.mark.parametrize('given, message, command', [
    (facts(python=(3, 13)), 'Python 3.13 is not between 3.8 and 3.12: mmcv',
     'make env'),
    (facts(python=(3, 7)), 'it is too old for mmdeepkd', 'make env'),
    (facts(setuptools='82.0'), 'setuptools 82.0 is too new, and mmcv',
     'pip install "setuptools<81"'),
    (facts(setuptools='81'), 'setuptools 81 is too new',
     'pip install "setuptools<81"'),
    (facts(setuptools=None), 'setuptools is missing',
     'pip install "setuptools<81"'),
    (facts(torch=None), 'torch is not installed',
     'pip install torch==2.12.1 torchvision==0.27.1'),
    (facts(torch=None, python=(3, 9)), 'torch is not installed', 'make env'),
    (facts(torchvision=None), 'torchvision is not installed',
     'pip install torch==2.12.1 torchvision==0.27.1'),
    (facts('classic', torch='1.13.1', torchvision='0.14.1'),
     'torch 1.13.1 is older than 2.1',
     'pip install torch==2.1.2 torchvision==0.16.2'),
    (facts(torchvision='0.26.0'), 'torchvision 0.26.0 is not made for torch '
     '2.12.1, which needs 0.27',
     'pip install torch==2.12.1 torchvision==0.27.1'),
    (facts(torch='2.5.1+cu124', torchvision='0.19.1'), 'which needs 0.20',
     'pip install torch==2.5.1 "torchvision==0.20.*"'),
    (facts(torch='2.12.1+cpu', torchvision='0.27.1+cu130', cuda=None,
           driver=False), 'torch 2.12.1+cpu (for the CPU) and torchvision '
     '0.27.1+cu130 are not of one build', PAIR),
    (facts(torch='2.12.1+cu130', torchvision='0.27.1+cpu'),
     'torch 2.12.1+cu130 (for CUDA 12.1) and torchvision 0.27.1+cpu', PAIR),
    (facts(errors=dict(torchvision=NO_NMS), cuda=None, driver=False),
     'not of one build: RuntimeError: operator torchvision::nms does not ex',
     PAIR),
    (facts(errors=dict(torch='OSError: libcudart.so.13: cannot open')),
     'torch does not import: OSError: libcudart.so.13', PAIR),
    (facts('classic', numpy='2.0.1'),
     'torch 2.1.2+cu121 is built for numpy 1: numpy 2.0.1 is too new',
     'pip install "numpy<2"'),
    (facts('classic', opencv_python='4.12.0.88'), 'opencv-python 4.12.0.88 '
     'is too new, it asks for numpy 2',
     'pip install "opencv-python<4.12" "numpy<2"'),
    (facts('classic', opencv_python=None, numpy='2.2',
           opencv_python_headless='4.12.0.88'), 'opencv-python-headless 4.12',
     'pip install "opencv-python-headless<4.12" "numpy<2"'),
    (facts(numpy=None), 'numpy is not installed',
     'pip install "numpy>=2.2,<2.5"'),
    (facts(opencv_python=None, errors=dict(cv2='ModuleNotFoundError: x')),
     'opencv-python is not installed',
     'pip install "opencv-python>=4.12,<6"'),
    (facts(errors=dict(cv2=NO_GL)), 'opencv-python 4.12.0.88 needs the '
     'libraries of a desktop: ImportError: libGL.so.1',
     'pip uninstall -y opencv-python && pip install '
     '"opencv-python-headless>=4.12,<6"'),
    (facts(errors=dict(cv2='ImportError: numpy')), 'cv2 does not import',
     'pip install --force-reinstall "opencv-python>=4.12,<6"'),
    (facts(mmengine='0.9.1'), 'mmengine 0.9.1 is not a 0.10',
     'pip install mmengine==0.10.7'),
    (facts(mmcv=None), 'mmcv is not installed', MMCV),
    (facts(mmcv='2.2.0'),
     'mmcv 2.2.0 is too new: mmdet 3.3.0 needs mmcv>=2.0,<2.2', MMCV),
    (facts(mmcv='1.7.1'), 'mmcv 1.7.1 is too old: mmdet 3.3.0 needs', MMCV),
    (facts(mmcv=None, mmcv_full='1.7.1'), 'mmcv-full 1.7.1 is too old',
     'pip uninstall -y mmcv-full && ' + MMCV),
    (facts(mmcv=None, mmcv_lite='2.1.0'),
     'mmcv-lite 2.1.0 has no compiled operators',
     'pip uninstall -y mmcv-lite && ' + MMCV),
    (facts(errors={'mmcv.ops': NO_OPS}),
     'mmcv 2.1.0 has no compiled operators', MMCV),
    (facts(errors={'mmcv.ops': OTHER_TORCH}), 'mmcv 2.1.0 was built for '
     'another torch than 2.12.1: ImportError: /x/mmcv/_ext', MMCV),
    (facts(errors={'mmcv.ops': 'the import ended the process'}),
     'mmcv.ops does not import: the import ended the process', MMCV),
    (facts(mmdet='2.28.2'), 'mmdet 2.28.2 is not >=3.3,<4',
     'pip install mmdet==3.3.0'),
    (facts(mmpretrain='0.9'), 'mmpretrain 0.9 is not >=1.0,<2',
     'pip install mmpretrain==1.2.0'),
])
def test_a_trap_is_one_line_with_one_command(given, message, command):
    (finding, ) = found(given)

    assert message in finding.message and '\n' not in finding.message
    assert finding.command == command
    assert finding.wrong


@pytest.mark.parametrize('given, message, command', [
    (facts(mmdet=None), 'mmdet is not installed, which detection needs',
     'pip install mmdet==3.3.0'),
    (facts('classic', mmpretrain=None), 'which classification needs',
     'pip install mmpretrain==1.2.0'),
    (facts(gpu=False, driver=False), 'finds no NVIDIA driver, so that it', ''),
    (facts(gpu=False), 'is built for CUDA 12.1 and sees no GPU', 'nvidia-smi'),
    (facts(gpu=False, cuda=None), 'but torch 2.12.1 is built for the CPU',
     PAIR),
])
def test_what_need_not_be_fixed_is_a_note(given, message, command):
    (finding, ) = found(given)

    assert message in finding.message
    assert finding.command == command
    assert not finding.wrong


def test_what_follows_from_another_trap_is_not_said_twice():
    broken = facts(setuptools='82', mmcv='2.2.0',
                   errors={'mmcv.ops': "No module named 'pkg_resources'"})

    assert [finding.command for finding in found(broken)] == [
        'pip install "setuptools<81"', MMCV]


@pytest.mark.parametrize('torch, stack', [
    ('2.0.1', CLASSIC), ('2.3.0', CLASSIC), ('2.11.0', MODERN),
    ('2.13.0', MODERN)
])
def test_the_nearest_stack_is_that_of_the_nearest_torch(torch, stack):
    given = facts('classic', torch=torch, numpy='2.0')

    assert nearest(given, STACKS) is stack
    assert summary(given, stack).startswith(
        f'nearest tested stack: "{stack.name}"; different here: torch')


def test_the_table_shows_what_is_installed_beside_the_stacks():
    rows = table(facts(opencv_python=None, opencv_python_headless='4.12'),
                 STACKS)

    assert rows[0].split() == ['installed', 'modern', 'classic']
    assert rows[2].split() == ['torch', '2.12.1', '2.12.1', '2.1.2']
    assert any('4.12 (opencv-python-headless)' in row for row in rows)


def test_a_module_that_kills_the_process_is_named(tmp_path, monkeypatch):
    (tmp_path / 'deadly.py').write_text('import os; os.abort()')
    (tmp_path / 'faulty.py').write_text('print("doctor"); import none_such')
    (tmp_path / 'sound.py').write_text('print("hello")')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    errors, cuda, gpu = try_imports(['sound', 'faulty', 'deadly', 'sound'])

    assert errors == {
        'faulty': "ModuleNotFoundError: No module named 'none_such'",
        'deadly': 'the import ended the process or did not end'
    }
    assert (cuda, gpu) == (None, False)


def test_it_runs_here():
    result = run_command(sys.executable, ROOT / 'tools' / 'doctor.py')

    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == 'nothing is wrong'
    assert 'tested stack' in result.stdout


def test_it_needs_no_package(tmp_path):
    # -S and -E: no site-packages, no PYTHONPATH. It tries imports in a
    # process without these options.
    result = subprocess.run(
        [sys.executable, '-S', '-E', str(ROOT / 'tools' / 'doctor.py')],
        capture_output=True, text=True, cwd=tmp_path)

    assert result.returncode == 1, result.stderr
    assert ('wrong: torch and torchvision are not installed; fix: '
            'pip install torch==') in result.stdout
    assert result.stdout.endswith(
        ' wrong: begin with the first, then run this again\n')
