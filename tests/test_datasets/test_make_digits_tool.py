import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'dataset_tools' / 'make_digits.py'


def run(*arguments):
    # `-c` puts the repository on the path where the package is not installed.
    code = ('import runpy, sys; sys.path.insert(0, sys.argv[1]); '
            'sys.argv = sys.argv[2:]; '
            'runpy.run_path(sys.argv[0], run_name="__main__")')
    return subprocess.run(
        [sys.executable, '-c', code,
         str(ROOT), str(TOOL), *arguments],
        capture_output=True,
        text=True)


def test_writes_with_progress_then_is_up_to_date(tmp_path):
    out = tmp_path / 'digits'
    options = ['--out', str(out), '--num-train', '5', '--num-val', '2']
    first = run(*options)
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines() == [
        'digits: 7/7 scenes', f'digits: {out} is written'
    ]
    train = json.loads((out / 'annotations' / 'train.json').read_text())
    assert len(train['images']) == 5
    assert run(*options).stdout == f'digits: {out} is up to date\n'


def test_a_foreign_folder_is_one_sentence(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    result = run('--out', str(tmp_path))
    assert result.returncode == 1
    assert result.stderr == (
        f'make_digits: {tmp_path} exists and was not written by '
        'make_digits_detection; move it away or choose another folder.\n')
