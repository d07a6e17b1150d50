"""A temporary checkout whose commands pretend."""
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def write_command(path, text):
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)
    return path


class Checkout:
    """A temporary checkout whose only commands are those of ``bin``."""

    def __init__(self, folder, bin_folder, cache, calls):
        self.folder, self.bin = folder, bin_folder
        self.cache, self.calls_file = cache, calls
        self.env = {
            'PATH': str(bin_folder),
            'HOME': str(folder),
            'XDG_CACHE_HOME': str(cache),
            'CALLS': str(calls)
        }

    @property
    def calls(self):
        """What the pretended Python was asked to do, in order."""
        return self.calls_file.read_text().splitlines()

    def start(self, *args, **env):
        """Start the set-up."""
        return subprocess.Popen(
            [str(self.folder / 'tools' / 'setup_env.sh'), *args],
            env={**self.env, **env},
            cwd=str(self.bin),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True)

    def run(self, *args, **env):
        """Run the set-up: return status, standard output and error."""
        process = self.start(*args, **env)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err
