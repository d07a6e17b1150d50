"""Write the student of a distillation as a file of its own.

    python tools/export_student.py configs/digits/deepkd_frcnn_r18w32_r18w16.py
        work_dirs/digits/deepkd/epoch_4.pth student.pth --check

OUT gets the weights and the classes, without optimizer, schedules and
adapters, and opens with torch.load(weights_only=True); beside it (student.py)
the student's plain config. Both are for mmdet or mmpretrain without mmdeepkd.
"""
import argparse
import pickle
import sys
from pathlib import Path

import torch
from common import add_config_arguments, load_config
from export_steps.class_names import count_classes, dataset_meta
from export_steps.comparison import ComparisonError, compare
from export_steps.evaluated import build_model, evaluated_student
from export_steps.plain_config import own_types, plain_config
from export_steps.weights import (
    load_student,
    pick_tensors,
    plain_meta,
    plain_state,
)
from mmengine.runner.checkpoint import CheckpointLoader

from mmdeepkd.checkpoints import UnsafeCheckpointError, decode_state
from mmdeepkd.engine.files import replacing

_CHECKED_IMAGES = 4


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config that the student was trained '
                        'with')
    parser.add_argument('checkpoint', help='checkpoint of the run')
    parser.add_argument('out', type=Path, help='file to write, ending in .pth')
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing unless the exported student predicts the same, '
        'bit for bit, as tools/test.py would with CONFIG and CHECKPOINT, on '
        'a few validation images (a random one if the data are not there)')
    parser.add_argument(
        '--raw',
        action='store_true',
        help='of a run with EMAHook: export the weights that were trained, '
        'not their average')
    parser.add_argument(
        '--force', action='store_true', help='replace files that exist')
    add_config_arguments(parser)
    return parser.parse_args()


def check_target(out: Path, force: bool) -> None:
    """Raise unless OUT and the config beside it can be written."""
    if out.suffix not in ('.pth', '.pt'):
        raise ValueError(f'OUT must end in .pth, got {out}: the config is '
                         'written beside it under the same name.')
    for path in (out, out.with_suffix('.py')):
        if path.exists() and not force:
            raise FileExistsError(f'{path} exists already: give another OUT, '
                                  'or --force to replace it.')


def export(args: argparse.Namespace) -> str:
    """Write both files; return what to say about them."""
    check_target(args.out, args.force)
    cfg = load_config(args)
    plain = plain_config(cfg)
    text = (f'# The student of {Path(args.config).name}, alone.\n'
            f'{plain.pretty_text}')
    loaded = CheckpointLoader.load_checkpoint(args.checkpoint, 'cpu')
    tensors = pick_tensors(loaded, args.checkpoint, args.raw)
    student = build_model(plain)
    prefix = load_student(student, tensors, args.checkpoint)
    given = loaded.get('meta')
    given = decode_state(given) if isinstance(given, dict) else {}
    named, warning = dataset_meta(given, cfg, count_classes(student))
    meta = plain_meta(given, named, text)
    state = plain_state(student)
    said = [f'{args.out}: {len(state)} tensors'
            f'{_averaged(loaded, args.raw)}, '
            f'{len(named.get("classes", []))} classes; '
            f'{args.out.with_suffix(".py")}: the config']
    args.out.parent.mkdir(parents=True, exist_ok=True)
    config_out = args.out.with_suffix('.py')
    with replacing(args.out) as draft, replacing(config_out) as config_draft:
        torch.save(dict(meta=meta, state_dict=state), draft)
        _open_as_plain_torch(draft)
        config_draft.write_text(text, encoding='utf-8')
        if args.check:
            before = evaluated_student(cfg, args.checkpoint, prefix, args.raw)
            said.append(compare(before, cfg, text, draft, _CHECKED_IMAGES))
    if warning:
        said.append(f'warning: {warning}')
    ours = sorted(set(own_types(plain.to_dict())))
    if ours:
        said.append('mmdeepkd must be installed where the config is used, '
                    f'for its {", ".join(ours)}')
    return '\n'.join(said)


def _open_as_plain_torch(file: Path) -> None:
    """Raise if torch refuses the file by default."""
    try:
        torch.load(file, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            'the metainfo of the data set holds more than lists, numbers and '
            'names, which torch refuses by default: correct it in the config '
            f'({str(error).splitlines()[-1]}).') from error


def _averaged(loaded: dict, raw: bool) -> str:
    if 'ema_state_dict' not in loaded:
        return ''
    return ' (as trained)' if raw else ' (the average of EMAHook)'


def main() -> None:
    """Export, or say in one sentence why not."""
    args = parse_args()
    try:
        print(export(args))
    except (ComparisonError, ImportError, KeyError, OSError, RuntimeError,
            TypeError, UnsafeCheckpointError, ValueError) as error:
        sys.exit(f'export_student: {error}')


if __name__ == '__main__':
    main()
