"""A student's training, whose learning rate may be too large for it."""
import json
import os
import time
from pathlib import Path
from typing import Callable


def attempt(work: Callable[[], None], test: bool, folder: Path) -> None:
    """Train; where a loss becomes inf or NaN the result is 0.

    So a rate that is too large is not chosen, and the benchmark goes on.
    Anything else that fails is an error.

    Args:
        work: Trains, and writes ``result.json`` into the folder.
        test: Whether it measures on the test split too.
        folder: The folder of the run.
    """
    start = time.time()
    try:
        work()
    except FloatingPointError as error:
        print(f'diverged, counts as 0: {error}')
        result = dict(val=0.0, test=0.0 if test else None,
                      seconds=time.time() - start)
        draft = folder / 'result.json.draft'
        draft.write_text(json.dumps(result))
        os.replace(draft, folder / 'result.json')
