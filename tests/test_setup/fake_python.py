"""Pretends to be python3: answers what the set-up asks, installs nothing.

``FAKE_BUILD`` says how the build of mmcv goes, ``FAKE_PLAYWRIGHT`` how that of
a browser does, ``FAKE_TORCH`` overrides what torch says of itself,
``FAKE_VERSION`` is the Python version. What it was asked is appended to the
file ``CALLS``.
"""
import json
import os
import shutil
import sys
import time
import zipfile
from pathlib import Path

ME, ARGS = sys.argv[1], sys.argv[2:]
TORCH = {
    'torch': '2.12.1', 'abi': 'cp311', 'libc': 'glibc2.36', 'gpu': False,
    'cuda': '13.0', 'toolkit': None
}


def record(what):
    with open(os.environ['CALLS'], 'a') as file:
        file.write(what + '\n')


def answer(code):
    if 'ensurepip' in code:
        version = os.environ.get('FAKE_VERSION', '3.11').split('.')
        print(json.dumps({
            'executable': ME, 'version': [int(part) for part in version],
            'pip': True, 'venv': True, 'headers': True
        }))
    elif 'CUDA_HOME' in code:
        override = json.loads(os.environ.get('FAKE_TORCH', '{}'))
        print(json.dumps({**TORCH, **override}))
    elif code.startswith('import torch'):
        record('import')


def build():
    record('build')
    print('[3/77] c++ nms.cpp', flush=True)
    outcome = os.environ.get('FAKE_BUILD', 'ops')
    if outcome == 'fail':
        print('nms.cpp:1: fatal error: no such thing')
        sys.exit(1)
    if outcome == 'hang':
        record(str(os.getpid()))
        time.sleep(60)
    time.sleep(0.3)
    folder = ARGS[ARGS.index('-w') + 1]
    with zipfile.ZipFile(f'{folder}/mmcv-2.1.0-cp311.whl', 'w') as wheel:
        wheel.writestr('mmcv/_ext.so' if outcome == 'ops' else 'mmcv/a.py', '')


def install_browser():
    record('playwright ' + ' '.join(ARGS[2:]))
    if os.environ.get('FAKE_PLAYWRIGHT') == 'fail':
        sys.exit(1)
    folder = Path.home() / '.cache/ms-playwright/chromium-7/chrome-linux'
    folder.mkdir(parents=True)
    # It answers when it is asked for its version.
    shutil.copy(os.path.realpath('/bin/true'), folder / 'chrome')


if ARGS[0] == '-c':
    answer(ARGS[1])
elif ARGS[:2] == ['-m', 'venv']:
    record('venv')
    python = Path(ARGS[-1]) / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    shutil.copy(ME, python)
elif ARGS[:3] == ['-m', 'pip', 'wheel']:
    build()
elif ARGS[:3] == ['-m', 'pip', 'install']:
    record('install ' + ' '.join(Path(arg).name for arg in ARGS[4:]))
elif ARGS[:3] == ['-m', 'playwright', 'install']:
    install_browser()
else:
    os.execv(sys.executable, [sys.executable, *ARGS])
