"""The file of the numbers: what is finished is kept, and not done again."""
import json
from pathlib import Path
from typing import Any, Callable, Dict, List

from mmdeepkd.engine.files import replacing


class Results:
    """Finished slices, written to a file one by one.

    Args:
        path: The JSON file; slices that it holds are taken from it where
            their key is asked for, and kept under ``others`` where not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.slices: List[Dict[str, Any]] = []
        self._before = _slices(path)

    def has(self, key: str) -> bool:
        """Return whether a slice was finished before."""
        return key in self._before

    def slice(self, key: str, facts: Dict[str, Any],
              measure: Callable[[], Any]) -> None:
        """Add a slice: that of the file, or a new one.

        Args:
            key: Everything the losses depend on.
            facts: What the slice is.
            measure: Returns the losses.
        """
        if key in self._before:
            losses = self._before[key]['loss']
        else:
            losses = measure()
        self.slices.append(dict(facts, key=key, loss=losses))
        self.write({})

    def write(self, data: Dict[str, Any]) -> None:
        """Replace the file.

        Args:
            data: What it holds beside ``slices`` and ``others``, those that
                were found and not asked for.
        """
        asked = {each['key'] for each in self.slices}
        data = dict(data, slices=self.slices, others=[
            each for key, each in self._before.items() if key not in asked])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as draft:
            draft.write_text(json.dumps(data, indent=1, allow_nan=False))


def _slices(path: Path) -> Dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text())
        return {each['key']: each
                for each in [*data['slices'], *data.get('others', [])]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is not what this tool writes: remove it, or '
                         'give another --out.') from error
