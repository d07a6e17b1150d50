"""tools/doctor.py: each known trap, and the command that fixes it."""
import pytest

from tests.helpers.processes import ROOT
from tools.doctor_steps.facts import Facts
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
MMCV = ('MMCV_WITH_OPS=1 py -m pip install --force-reinstall --no-deps '
        '--no-build-isolation --no-cache-dir --no-binary mmcv mmcv==2.1.0')
PAIR = 'py -m pip install --force-reinstall torch==2.12.1 torchvision==0.27.1'
OVER = 'py -m pip install --ignore-installed --no-deps '
NO_OPS = "ModuleNotFoundError: No module named 'mmcv._ext'"
OTHER_TORCH = ('ImportError: /x/mmcv/_ext.cpython-310.so: undefined symbol: '
               '_ZN2at4_ops5zeros4callE')
NO_NMS = 'RuntimeError: operator torchvision::nms does not exist\nmore'
NO_GL = 'ImportError: libGL.so.1: cannot open shared object file'


def facts(base='modern', python=(3, 10), errors=None, cuda='12.1', gpu=True,
          driver=True, broken=None, **versions):
    """A tested stack but for some versions; None leaves a package out."""
    versions = {name.replace('_', '-'): version
                for name, version in {**GOOD[base], **versions}.items()
                if version is not None}
    return Facts(python, 'py', versions, broken or {}, errors or {}, cuda, gpu,
                 driver)


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
    (facts(python=(3, 13), torch='2.6.0', torchvision='0.21.0'),
     'not between 3.8 and 3.12: mmcv', 'make env'),
    # Nothing that pip could do for it.
    (facts(python=(3, 13), mmcv=None, mmdet=None, setuptools='82'),
     'Python 3.13 is not', 'make env'),
    (facts('classic', python=(3, 12)), 'Python 3.12 is not between 3.8 and '
     '3.11: torch 2.1.2+cu121 is not made for it', 'make env'),
    (facts(python=(3, 7)), 'it is too old for mmdeepkd', 'make env'),
    (facts(setuptools='82.0'), 'setuptools 82.0 is too new, and mmcv',
     'py -m pip install "setuptools<81"'),
    (facts(setuptools='81'), 'setuptools 81 is too new',
     'py -m pip install "setuptools<81"'),
    (facts(setuptools=None), 'setuptools is missing',
     'py -m pip install "setuptools<81"'),
    (facts(torch=None), 'torch is not installed',
     'py -m pip install torch==2.12.1 torchvision==0.27.1'),
    (facts(torch=None, python=(3, 9)), 'torch is not installed', 'make env'),
    (facts('classic', torch=None, torchvision=None, python=(3, 11)),
     'torch and torchvision are not installed',
     'py -m pip install torch==2.1.2 torchvision==0.16.2'),
    (facts('classic', torch='2.4.1', torchvision=None, python=(3, 12)),
     'torchvision is not installed',
     'py -m pip install torch==2.4.1 "torchvision==0.19.*"'),
    (facts(torchvision=None), 'torchvision is not installed',
     'py -m pip install torch==2.12.1 torchvision==0.27.1'),
    (facts('classic', torch='1.13.1', torchvision='0.14.1'),
     'torch 1.13.1 is older than 2.1',
     'py -m pip install torch==2.1.2 torchvision==0.16.2'),
    (facts(torchvision='0.26.0'), 'torchvision 0.26.0 is not made for torch '
     '2.12.1, which needs 0.27',
     'py -m pip install torch==2.12.1 torchvision==0.27.1'),
    (facts(torch='2.5.1+cu124', torchvision='0.19.1'), 'which needs 0.20',
     'py -m pip install torch==2.5.1 "torchvision==0.20.*"'),
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
     'py -m pip install "numpy<2"'),
    (facts('classic', opencv_python='4.12.0.88'), 'opencv-python 4.12.0.88 '
     'is too new, it asks for numpy 2',
     'py -m pip install "opencv-python<4.12" "numpy<2"'),
    (facts('classic', opencv_python=None, numpy='2.2',
           opencv_python_headless='4.12.0.88'), 'opencv-python-headless 4.12',
     'py -m pip install "opencv-python-headless<4.12" "numpy<2"'),
    (facts(numpy=None), 'numpy is not installed',
     'py -m pip install "numpy>=2.2,<2.5"'),
    (facts(errors=dict(numpy='ImportError: libopenblas')),
     'numpy does not import: ImportError: libopenblas',
     'py -m pip install --force-reinstall --no-deps "numpy>=2.2,<2.5"'),
    (facts(opencv_python=None, errors=dict(cv2='ModuleNotFoundError: x')),
     'opencv-python is not installed',
     'py -m pip install "opencv-python>=4.12,<6"'),
    (facts(errors=dict(cv2=NO_GL)), 'opencv-python 4.12.0.88 needs the '
     'libraries of a desktop: ImportError: libGL.so.1',
     'py -m pip uninstall -y opencv-python && py -m pip install '
     '"opencv-python-headless>=4.12,<6"'),
    (facts(errors=dict(cv2='ImportError: numpy')), 'cv2 does not import',
     'py -m pip install --force-reinstall "opencv-python>=4.12,<6"'),
    (facts(mmengine='0.9.1'), 'mmengine 0.9.1 is not a 0.10',
     'py -m pip install mmengine==0.10.7'),
    (facts(errors=dict(mmengine="No module named 'termcolor'")),
     "mmengine does not import: No module named 'termcolor'",
     'py -m pip install --force-reinstall --no-deps mmengine==0.10.7 && '
     'py -m pip install mmengine==0.10.7'),
    (facts(mmcv=None), 'mmcv is not installed', MMCV),
    (facts(mmcv='2.2.0'),
     'mmcv 2.2.0 is too new: mmdet 3.3.0 needs mmcv>=2.0,<2.2', MMCV),
    (facts(mmcv='1.7.1'), 'mmcv 1.7.1 is too old: mmdet 3.3.0 needs', MMCV),
    (facts(mmcv=None, mmcv_full='1.7.1'), 'mmcv-full 1.7.1 is too old',
     'py -m pip uninstall -y mmcv-full && ' + MMCV),
    (facts(mmcv=None, mmcv_lite='2.1.0'),
     'mmcv-lite 2.1.0 has no compiled operators',
     'py -m pip uninstall -y mmcv-lite && ' + MMCV),
    (facts(errors={'mmcv.ops': NO_OPS}),
     'mmcv 2.1.0 has no compiled operators', MMCV),
    (facts(errors={'mmcv.ops': OTHER_TORCH}), 'mmcv 2.1.0 was built for '
     'another torch than 2.12.1: ImportError: /x/mmcv/_ext', MMCV),
    (facts(errors={'mmcv.ops': 'the import ended the process'}),
     'mmcv.ops does not import: the import ended the process', MMCV),
    (facts(mmdet='2.28.2'), 'mmdet 2.28.2 is not >=3.3,<4',
     'py -m pip install mmdet==3.3.0'),
    (facts(mmpretrain='0.9'), 'mmpretrain 0.9 is not >=1.0,<2',
     'py -m pip install mmpretrain==1.2.0'),
])
def test_a_trap_is_one_line_with_one_command(given, message, command):
    (finding, ) = found(given)

    assert message in finding.message and '\n' not in finding.message
    assert finding.command == command
    assert finding.wrong


@pytest.mark.parametrize('given, message, command', [
    (facts(mmdet=None), 'mmdet is not installed, which detection needs',
     'py -m pip install mmdet==3.3.0'),
    (facts('classic', mmpretrain=None), 'which classification needs',
     'py -m pip install mmpretrain==1.2.0'),
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


@pytest.mark.parametrize('base, version, python', [
    ('classic', '2.1.2', (3, 8)), ('classic', '2.1.2', (3, 11)),
    ('classic', '2.2.2', (3, 12)), ('classic', '2.4.1', (3, 8)),
    ('classic', '2.4.1', (3, 11)), ('classic', '2.6.0', (3, 12)),
    ('modern', '2.6.0', (3, 11)), ('modern', '2.12.1', (3, 11)),
    ('modern', '2.12.1', (3, 12)),
])
def test_the_python_need_not_be_that_of_the_nearest_stack(base, version,
                                                          python):
    vision = f'0.{int(version.split(".")[1]) + 15}.0'

    assert found(facts(base, python, torch=version, torchvision=vision)) == []


@pytest.mark.parametrize('lite', [dict(mmcv=None, mmcv_lite='2.1.0'),
                                  dict(errors={'mmcv.ops': NO_OPS})])
def test_classification_alone_does_without_operators(lite):
    notes = found(facts(mmdet=None, **lite))
    with_mmdet = found(facts(mmpretrain=None, **lite))

    assert [note.wrong for note in notes] == [False, False]
    assert 'no compiled operators, which detection needs' in notes[0].message
    assert notes[0].command.endswith(MMCV)
    assert [each.wrong for each in with_mmdet] == [True, False]


@pytest.mark.parametrize('given, commands', [
    (dict(setuptools='82', mmcv='2.2.0',
          errors={'mmcv.ops': "No module named 'pkg_resources'"}),
     ['py -m pip install "setuptools<81"', MMCV]),
    (dict(mmengine=None, errors={'mmcv.ops': "No module named 'mmengine'"}),
     ['py -m pip install mmengine==0.10.7']),
    (dict(errors={'mmengine': "No module named 'yapf'",
                  'mmcv.ops': "No module named 'yapf'"}),
     ['py -m pip install --force-reinstall --no-deps mmengine==0.10.7 && '
      'py -m pip install mmengine==0.10.7']),
    (dict(errors=dict.fromkeys(
        ('numpy', 'torchvision', 'cv2', 'mmengine', 'mmcv.ops'), 'x')),
     ['py -m pip install --force-reinstall --no-deps "numpy>=2.2,<2.5"']),
    (dict(base='classic', numpy='2.0', errors=dict.fromkeys(
        ('cv2', 'mmengine', 'mmcv.ops'), 'numpy.core.multiarray')),
     ['py -m pip install "numpy<2"']),
    (dict(torch=None, errors=dict.fromkeys(
        ('mmengine', 'mmcv.ops'), "No module named 'torch'")),
     ['py -m pip install torch==2.12.1 torchvision==0.27.1']),
])
def test_what_follows_from_another_trap_is_not_said_twice(given, commands):
    assert [each.command for each in found(facts(**given))] == commands


@pytest.mark.parametrize('given, commands', [
    (dict(mmcv=None, broken=dict(mmcv='mmcv')),
     [MMCV.replace('--force-reinstall', '--ignore-installed')]),
    (dict(mmcv=None, setuptools='82', broken=dict(mmcv='mmcv')),
     ['py -m pip install "setuptools<81"',
      MMCV.replace('--force-reinstall', '--ignore-installed')]),
    (dict(torch=None, mmcv=None, broken=dict(mmcv='mmcv')),
     ['py -m pip install torch==2.12.1 torchvision==0.27.1',
      MMCV.replace('--force-reinstall', '--ignore-installed')]),
    (dict(setuptools=None, broken=dict(setuptools='setuptools')),
     [OVER + 'setuptools==80.9.0']),
    (dict(torch=None, opencv_python=None,
          broken={'torch': 'torch',
                  'opencv-python': 'opencv-python-headless'}),
     [OVER + 'torch==2.12.1',
      OVER + '"opencv-python-headless>=4.12,<6"']),
])
def test_what_pip_left_in_part_is_written_over(given, commands):
    findings = found(facts(**given))

    assert [each.command for each in findings] == commands
    assert all(each.wrong for each in findings)
    assert 'installed in part, without a version' in findings[-1].message


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

    broken = table(facts(mmcv=None, broken=dict(mmcv='mmcv')), STACKS)

    assert rows[0].split() == ['installed', 'modern', 'classic']
    assert ['mmcv', 'unknown', '2.1.0', '2.1.0'] in map(str.split, broken)
    assert rows[2].split() == ['torch', '2.12.1', '2.12.1', '2.1.2']
    assert any('4.12 (opencv-python-headless)' in row for row in rows)
