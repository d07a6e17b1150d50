"""Stops for files that were to initialise a model and hold none of it."""
from functools import partial
from typing import Any, List, Mapping, Sequence

from torch import nn
from torch.utils.hooks import RemovableHandle

from .load_report import LoadReport, compare_tensors

_WAY_OUT = ('default_hooks=dict(start_summary=None) turns this check off, '
            'and the summary')


def require_match(report: LoadReport, state: Mapping[str, Any],
                  own: Mapping[str, Any],
                  before: Sequence[LoadReport] = ()) -> None:
    """Raise if a file gave the model nothing, or its backbone nothing.

    Args:
        report: Of the two.
        state: The file's tensors by name.
        own: The model's ``state_dict``.
        before: What was loaded before. A backbone that has its weights from
            there may be missing here, as in a file of neck and head.

    Raises:
        RuntimeError: No tensor, or none of the backbone, matched; the
            message shows how the names or shapes differ.
    """
    if not report.total:
        return
    matched, total = report.parts.get('backbone', (1, 1))
    loaded = any(each.parts.get('backbone', (0, 0))[0] for each in before)
    if report.matched and (matched or loaded):
        return
    if report.matched:
        raise RuntimeError(
            f'{report.what} gives the backbone nothing: none of its {total} '
            f'tensors matches {report.source} '
            f'({_difference(report, state, own)}, or initialise it from '
            "another file: backbone.init_cfg=dict(type='Pretrained', "
            f'checkpoint=...)); {_WAY_OUT}.')
    raise RuntimeError(
        f'{report.what} finds nothing to load: none of the {report.total} '
        f'tensors of the model matches {report.source} '
        f'({_difference(report, state, own)}); {_WAY_OUT}.')


def watch_pretrained(model: nn.Module,
                     reports: List[LoadReport]) -> List[RemovableHandle]:
    """Report what each ``init_cfg=dict(type='Pretrained')`` will load.

    The tensors are compared at the moment a module takes them, so the file
    is read once and renamed or resized tensors count as what they became.

    Args:
        model: The model, before ``init_weights``.
        reports: Every report is appended.

    Returns:
        Handles; ``remove()`` ends the watch. Until then a load that matches
        nothing raises a RuntimeError.
    """
    handles = []
    for name, module in model.named_modules():
        for source in _pretrained(getattr(module, 'init_cfg', None)):
            handles.append(
                # The public name came with torch 2.5.
                module._register_load_state_dict_pre_hook(
                    partial(_compare_init, module, name, source, reports)))
    return handles


def _compare_init(module: nn.Module, name: str, source: str,
                  reports: List[LoadReport],
                  state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    if prefix:
        # A module around this one is being loaded.
        return
    own = module.state_dict()
    report = compare_tensors(f'init_cfg of {name or "the model"}', source,
                             state, own, f'{name}.' if name else '')
    require_match(report, state, own, reports)
    reports.append(report)


def _pretrained(init_cfg: Any) -> List[str]:
    configs = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    return [
        str(config['checkpoint']) for config in configs
        if isinstance(config, dict) and config.get('checkpoint')
    ]


def _difference(report: LoadReport, state: Mapping[str, Any],
                own: Mapping[str, Any]) -> str:
    """Say how the names differ, and what to do about it."""
    theirs = next(iter(state), 'nothing')
    ours = next((key for key in own
                 if key.startswith('backbone.')), next(iter(own)))
    for key in state:
        if key.endswith(f'.{ours}'):
            prefix = key[:-len(ours)]
            cure = (f'set prefix={prefix!r} in it' if report.what.startswith(
                'init_cfg') else f'remove {prefix!r} from its names')
            return f'it has {key} where the model has {ours}: {cure}'
        if ours.endswith(f'.{key}'):
            part = ours[:-len(key) - 1]
            return (f'it has {key} where the model has {ours}: it holds '
                    f"{part} alone, so set {part}.init_cfg=dict(type="
                    "'Pretrained', checkpoint=...) instead")
    if report.mismatched:
        return (f'{report.mismatched[0]}: give the checkpoint of this '
                'architecture')
    return (f'it begins with {theirs}, the model has {ours}: give the '
            'checkpoint of this architecture')
