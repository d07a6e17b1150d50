"""Turn a published CIFAR-100 teacher into an mmpretrain checkpoint.

    python tools/convert_teacher.py --arch resnet32x4 \
        download/cifar_teachers/resnet32x4_vanilla/ckpt_epoch_240.pth \
        checkpoints/cifar100/resnet32x4.pth
"""
import argparse
import difflib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, List

import torch
from torch import Tensor
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from mmdeepkd.checkpoints import UnsafeCheckpointError, read_checkpoint
from mmdeepkd.classification.backbones.published import (
    published_model,
    published_networks,
    rename_published,
)
from mmdeepkd.registry import MODELS


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', type=Path, help='published checkpoint')
    parser.add_argument('out', type=Path, help='checkpoint to write')
    parser.add_argument(
        '--arch',
        required=True,
        help=f'the network: {", ".join(published_networks())}')
    parser.add_argument(
        '--num-classes', type=int, help='if not as published (100)')
    parser.add_argument(
        '--force', action='store_true', help='replace the file OUT')
    return parser.parse_args()


def check_arch(arch: str) -> None:
    """Raise a ValueError if no published network has this name."""
    known = published_networks()
    if arch not in known:
        # A wrong case is the most likely slip.
        by_lower = {name.lower(): name for name in known}
        close = [by_lower[name] for name in difflib.get_close_matches(
            arch.lower(), by_lower)] or known
        raise ValueError(f'there is no published network {arch!r}: give '
                         f'--arch as one of {", ".join(close)}.')


def read_published(source: Path) -> Dict[str, Tensor]:
    """Return the tensors of a published checkpoint, by its own keys.

    Args:
        source: File with a dict whose ``'model'`` is the state_dict; nothing
            that is hidden in it is run.

    Raises:
        FileNotFoundError: There is no such file.
        UnsafeCheckpointError: It holds more than data.
        RuntimeError: It is damaged.
        ValueError: It is no published checkpoint.
    """
    loaded = read_checkpoint(source)
    state = loaded.get('model') if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not state or not all(
            isinstance(value, Tensor) for value in state.values()):
        raise ValueError(
            f"{source} has no tensors under 'model': give a checkpoint as "
            'published, such as resnet32x4_vanilla/ckpt_epoch_240.pth.')
    consume_prefix_in_state_dict_if_present(state, 'module.')
    return state


def check_state(state: Dict[str, Tensor], expected: Dict[str, Tensor],
                what: str) -> None:
    """Raise a ValueError unless keys and shapes are the expected ones."""
    shapes = [
        f'{key} is {tuple(state[key].shape)} and not '
        f'{tuple(expected[key].shape)}' for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    found = dict(
        missing=[key for key in expected if key not in state],
        unexpected=[key for key in state if key not in expected],
        **{'of another shape': shapes})
    if any(found.values()):
        listed = '; '.join(_few(names, kind) for kind, names in found.items())
        raise ValueError(
            f'{what} ({len(expected)} tensors): {listed}. Give the --arch and '
            '--num-classes that it was trained with.')


def _few(names: List[str], kind: str) -> str:
    shown = ', '.join(names[:3]) + (', ...' if len(names) > 3 else '')
    return f'{len(names)} {kind}' + (f' ({shown})' if names else '')


def convert(args: argparse.Namespace) -> int:
    """Write the checkpoint; return its number of tensors."""
    if find_spec('mmpretrain') is None:
        raise ImportError(
            'the networks are built with mmpretrain: install it with `pip '
            'install "mmpretrain>=1.0" "mmcv>=2.0,<2.2"`, or with `make env` '
            'in a checkout.')
    check_arch(args.arch)
    if args.out.exists() and not args.force:
        raise FileExistsError(f'{args.out} exists already: give another file, '
                              'or --force to replace it.')
    state = rename_published(args.arch, read_published(args.source))
    model = MODELS.build(published_model(args.arch, args.num_classes))
    expected = model.state_dict()
    check_state(state, expected,
                f'{args.source} does not hold a {args.arch}')
    # In the network's order, which torch 2.1 loses with the prefix.
    state = {key: state[key] for key in expected}
    meta = dict(arch=args.arch, source=args.source.name)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    # Written aside, so that the file is whole or absent.
    draft = args.out.with_name(f'.{args.out.name}.tmp')
    torch.save(dict(meta=meta, state_dict=state), draft)
    os.replace(draft, args.out)
    return len(state)


def main() -> None:
    """Convert, or say in one sentence why not."""
    args = parse_args()
    try:
        count = convert(args)
    except (ImportError, OSError, RuntimeError, UnsafeCheckpointError,
            ValueError) as error:
        sys.exit(f'convert_teacher: {error}')
    print(f'{args.out}: {count} tensors of {args.arch}')


if __name__ == '__main__':
    main()
