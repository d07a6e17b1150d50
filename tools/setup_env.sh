#!/usr/bin/env bash
# Prepares the Python that make runs: an own .venv, or, when PYTHON names an
# existing environment, a check of what that one lacks.
# Usage: [PYTHON=/path/to/python] tools/setup_env.sh [--stack NAME] [NEED]
set -euo pipefail

stop() {
    echo "set-up stopped: $*" >&2
    exit 1
}

python=${PYTHON:-python3}
command -v "$python" > /dev/null || stop "there is no '$python' on this" \
    "machine; install Python 3 or set PYTHON=/path/to/python."
# The scripts below need 3.6 to be read at all; they check the rest themselves.
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2> /dev/null \
    || stop "'$python' does not run or is older than Python 3.8; install a" \
        "newer Python 3 or set PYTHON=/path/to/python."
exec "$python" "$(dirname "$0")/setup/setup_env.py" ${PYTHON:+--own} "$@"
