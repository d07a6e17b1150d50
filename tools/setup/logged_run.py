"""Run a long command quietly: a log file, and a sign of life on screen."""
import os
import re
import signal
import subprocess
import sys
import time

from host_checks import SetupError

HEARTBEAT_SECONDS = 30.0
TAIL_LINES = 15


def tail(log, lines):
    """Return the last non-empty lines of a log."""
    with open(str(log), 'rb') as file:
        file.seek(max(0, log.stat().st_size - 65536))
        text = file.read().decode(errors='replace')
    return [line for line in text.splitlines() if line.strip()][-lines:]


def progress(log):
    """Say how far a log has come: ninja's count, else its last line."""
    lines = tail(log, 50)
    for line in reversed(lines):
        match = re.match(r'\s*\[(\d+)/(\d+)\]', line)
        if match:
            return '{} of {} files compiled'.format(*match.groups())
    return lines[-1].strip()[:60] if lines else 'starting'


def elapsed(since):
    """Write the time since ``since`` as minutes and seconds."""
    return '{} min {:02d} s'.format(*divmod(int(time.monotonic() - since), 60))


def run_logged(label, command, log, env=None, hint=''):
    """Run ``command`` with its output in ``log``.

    Args:
        label: What is being done, for the screen.
        command: The argument list.
        log: The file that the output is appended to.
        env: The environment, by default this process's own.
        hint: What to try when the command fails.

    Raises:
        SetupError: The command failed; its last lines are on screen.
    """
    start = time.monotonic()
    print(label + ' ...', flush=True)
    with open(str(log), 'ab') as file:
        # A process group of its own, so that an interrupted set-up leaves no
        # compiler running.
        process = subprocess.Popen(command, stdout=file, env=env,
                                   stderr=subprocess.STDOUT,
                                   start_new_session=True)
        try:
            while process.poll() is None:
                try:
                    process.wait(HEARTBEAT_SECONDS)
                except subprocess.TimeoutExpired:
                    print('  {}: {}, {}'.format(
                        label, elapsed(start), progress(log)), flush=True)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
    if process.returncode != 0:
        for line in tail(log, TAIL_LINES):
            print('  | ' + line[:200], file=sys.stderr)
        raise SetupError('{} failed after {}; the lines above are the end of '
                         '{}{}.'.format(label, elapsed(start), log,
                                        hint and '; ' + hint))
    print('  done in ' + elapsed(start), flush=True)
