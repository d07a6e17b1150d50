"""Commands of the package, run as a user runs them."""
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_command(*command, cwd=None, env=None, timeout=240):
    """Run a command on one thread; return it whatever its exit status."""
    env = {
        **os.environ, 'OMP_NUM_THREADS': '1',
        'PYTHON': sys.executable,
        # Also where the package is not installed.
        'PYTHONPATH': str(ROOT),
        **(env or {})
    }
    return subprocess.run([str(part) for part in command],
                          cwd=cwd or ROOT,
                          env=env,
                          timeout=timeout,
                          capture_output=True,
                          text=True)


def run_tool(name, *arguments, **kwargs):
    """Run ``tools/<name>`` and demand that it succeeds."""
    path = ROOT / 'tools' / name
    start = ['bash'] if path.suffix == '.sh' else [sys.executable]
    result = run_command(*start, path, *arguments, **kwargs)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def run_python(code, *arguments, **kwargs):
    """Run Python code in a fresh process and demand that it succeeds."""
    result = run_command(sys.executable, '-c', code, *arguments, **kwargs)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])
