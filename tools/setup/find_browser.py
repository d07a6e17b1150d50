"""Find the Chromium of this machine; the tests that need one ask here, too."""
import os
import shutil
import subprocess
from pathlib import Path

NAMES = ('chromium', 'chromium-browser', 'google-chrome',
         'google-chrome-stable')
ANSWER_SECONDS = 30


def find_browser():
    """Return the path of a Chromium that runs, None if there is none.

    What is on the path comes first, then what playwright installed.
    """
    found = [shutil.which(name) for name in NAMES]
    folder = Path(os.environ.get('PLAYWRIGHT_BROWSERS_PATH')
                  or Path.home() / '.cache' / 'ms-playwright')
    found += sorted(str(path) for path in folder.glob(
        'chromium-*/chrome-linux*/chrome'))
    return next((path for path in found if path and runs(path)), None)


def runs(browser):
    """Tell whether a browser starts: Ubuntu's may only name a snap."""
    try:
        return subprocess.call(
            [browser, '--version'], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=ANSWER_SECONDS) == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
