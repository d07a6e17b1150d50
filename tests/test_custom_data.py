"""The walk-through of docs/custom_data.md runs as written."""
import re
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from tests.helpers.custom_page import PAGE, page_config
from tests.helpers.distillers import write_teacher
from tests.helpers.processes import ROOT, run_command, run_python

REHEARSAL, PRETRAINED, FEATURES = re.findall(
    r'```bash\n(.*?)```', PAGE, re.DOTALL)
SETTINGS = re.search(r'```python\n(data_root.*?)```', PAGE, re.DOTALL).group(1)

# Plain mmdet, in a process that cannot import mmdeepkd.
OPEN_IN_PLAIN_MMDET = """
import sys
sys.modules['mmdeepkd'] = None
from mmdet.apis import inference_detector, init_detector
model = init_detector(
    'student_small.py', 'student_small.pth', device='cpu')
result = inference_detector(model, 'data/digits/val/000000.png')
labels = result.pred_instances.labels
assert len(labels) and int(labels.max()) < 3
print(model.dataset_meta['classes'])
"""


def commands(block):
    """Return the commands of a block, without its comments."""
    lines = block.replace('\\\n', ' ').splitlines()
    return [' '.join(line.split()) for line in lines if line[:1] != '#']


@pytest.fixture(scope='module')
def walked(tmp_path_factory):
    """Folder in which the rehearsal was run, and what it printed."""
    folder = tmp_path_factory.mktemp('walk')
    for name in ('configs', 'tools'):
        (folder / name).symlink_to(ROOT / name)
    printed = []
    for command in commands(REHEARSAL):
        # Fewer scenes, and more steps with them, so that the teacher learns
        # something; nothing else differs from what the page says.
        if 'make_digits' in command:
            command += ' --num-train 24 --num-val 4'
        elif 'teacher_small' in command:
            command += (' --cfg-options train_dataloader.batch_size=1'
                        ' optim_wrapper.optimizer.lr=0.02')
        printed.append(run_in(folder, command))
    return folder, printed


def run_in(folder, command):
    """Run a command of the page; return what it prints."""
    result = run_command('bash', '-c', f'python() {{ "$PYTHON" "$@"; }}\n'
                         f'{command}', cwd=folder)
    output = result.stdout + result.stderr
    assert result.returncode == 0, f'{command}\n{output}'
    return output


def test_the_four_steps_run_as_written(walked):
    folder, (_, trained, checked, distilled, exported) = walked

    assert sorted(p.name for p in (folder / 'work_dirs').iterdir()) == [
        'custom']
    assert (folder / 'work_dirs/custom/teacher_small/epoch_4.pth').is_file()
    assert 'coco/bbox_mAP' in trained and 'coco/bbox_mAP' in checked
    assert 'non_target.loss_deepkd' in distilled
    assert 'student_small.pth' in exported
    assert 'K from 2 to 3 at 30 % of the epochs' in distilled
    assert 'begins with K = 1' not in distilled
    # Of classes whose annotations are there, and are the models' own.
    for output in (trained, distilled):
        assert 'has no annotation of' not in output
        assert "in the teacher's checkpoint" not in output


def test_the_student_knows_its_three_classes_without_mmdeepkd(walked):
    folder, _ = walked
    saved = torch.load(folder / 'student_small.pth', weights_only=True)

    assert tuple(saved['meta']['dataset_meta']['classes']) == ('0', '1', '2')
    assert saved['state_dict'][
        'roi_head.bbox_head.fc_cls.weight'].shape[0] == 4
    printed = run_python(OPEN_IN_PLAIN_MMDET, cwd=folder).stdout
    assert re.search(r"'0', '1', '2'", printed)


def test_features_are_distilled_as_written(walked):
    folder, _ = walked
    trained, _ = [run_in(folder, each) for each in commands(FEATURES)]
    saved, exported = (
        torch.load(folder / file, weights_only=True)['state_dict']
        for file in ('work_dirs/custom/diffkd_small/epoch_4.pth',
                     'student_diffkd_small.pth'))

    assert 'feature.loss_diffkd_level3' in trained
    assert 'loss_deepkd' not in trained
    own = {key for key in saved if key.startswith('distill.')}
    assert own and set(exported) == set(saved) - own
    assert all(torch.equal(exported[key], saved[key]) for key in exported)


def test_the_pretrained_walk_is_the_same():
    rehearsed = commands(REHEARSAL)[1:]

    assert [c.replace('_pretrained', '_small').replace('epoch_12', 'epoch_4')
            for c in commands(PRETRAINED)] == rehearsed
    # Neither writes over what the other made.
    assert not set(re.findall(r'\S+\.pth', REHEARSAL)) & set(
        re.findall(r'\S+\.pth', PRETRAINED))


def copy_templates(folder, settings=None):
    """Copy configs/custom, with other settings in its data.py."""
    shutil.copytree(ROOT / 'configs' / 'custom', folder)
    data = folder / '_base_' / 'data.py'
    head, rest = data.read_text().split('# What follows from them.\n')
    if settings is not None:
        names = re.findall(r'^(\w+) = ', SETTINGS, re.MULTILINE)
        assert re.findall(r'^(\w+) = ', head, re.MULTILINE) == names
        data.write_text(f'{settings}\n{rest}')
    return folder


def step(dataset, name):
    (found, ) = [each for each in dataset.pipeline
                 if each.type.split('.')[-1] == name]
    return found


@pytest.mark.parametrize('method', ['deepkd', 'diffkd'])
@pytest.mark.parametrize('kind, epochs', [('small', 4), ('pretrained', 12)])
def test_a_copied_folder_follows_the_settings(kind, epochs, method, tmp_path):
    """Every number of classes, from the one file; the teacher's too."""
    classes = ('bolt', 'nut', 'gear', 'washer', 'pin')
    folder = copy_templates(tmp_path / 'my_set', SETTINGS.replace(
        "('bolt', 'nut', 'gear')", str(classes)))
    cfg = Config.fromfile(folder / f'{method}_{kind}.py')
    teacher = Config.fromfile(cfg.model.teacher)

    assert cfg.model.teacher == str(
        (folder / f'teacher_{kind}.py').resolve())
    assert cfg.model.teacher_checkpoint == (
        f'work_dirs/my_set/teacher_{kind}/epoch_{epochs}.pth')
    assert cfg.train_cfg.max_epochs == teacher.train_cfg.max_epochs == epochs
    for each in (cfg, teacher):
        datasets = [each[f'{name}_dataloader'].dataset
                    for name in ('train', 'val', 'test')]
        for dataset in datasets:
            assert dataset.data_root == 'data/my_set/'
            assert dataset.metainfo.classes == classes
            assert step(dataset, 'Resize').scale == (1333, 800)
        assert step(datasets[0], 'RandomFlip').prob == 0.5
    for model in (cfg.model.student, teacher.model):
        assert model.roi_head.bbox_head.num_classes == 5
    assert cfg.val_evaluator.ann_file == (
        'data/my_set/annotations/val.json')


@pytest.mark.parametrize('kind', ['small', 'pretrained'])
def test_each_folder_has_its_own_runs(kind, tmp_path):
    """No student learns from the teacher of another set."""
    kept, taught = set(), set()
    for name in ('bolts', 'screws'):
        folder = copy_templates(tmp_path / name)
        for role in ('teacher', 'baseline', 'deepkd', 'diffkd'):
            cfg = Config.fromfile(folder / f'{role}_{kind}.py')
            assert cfg.work_dir == f'work_dirs/{name}/{role}_{kind}'
            kept.add(cfg.work_dir)
        teacher = Config.fromfile(cfg.model.teacher)
        path, file = cfg.model.teacher_checkpoint.rsplit('/', 1)
        assert (path, file) == (
            teacher.work_dir, f'epoch_{teacher.train_cfg.max_epochs}.pth')
        taught.add(path)

    assert len(kept) == 8 and len(taught) == 2


def test_a_forgotten_comma_or_slash_is_no_fault(tmp_path):
    settings = SETTINGS.replace("('bolt', 'nut', 'gear')", "('bolt')").replace(
        "'data/my_set/'", "'data/my_set'")
    cfg = Config.fromfile(
        copy_templates(tmp_path / 'bolts', settings) / 'baseline_small.py')

    assert cfg.model.roi_head.bbox_head.num_classes == 1
    assert cfg.train_dataloader.dataset.metainfo.classes == ('bolt', )
    assert cfg.train_dataloader.dataset.data_root == 'data/my_set'
    assert cfg.val_evaluator.ann_file == 'data/my_set/annotations/val.json'


def test_the_class_map_of_the_page_is_built(tmp_path):
    """On COCO's names, with a smaller teacher than the page's."""
    from mmdet.datasets import CocoDataset

    from tests.helpers.detectors import faster_rcnn
    model = page_config('deepkd_pretrained', tmp_path)[0].model
    path = write_teacher(faster_rcnn(80), tmp_path / 'teacher.pth')
    saved = torch.load(path)
    saved['meta'] = dict(CLASSES=CocoDataset.METAINFO['classes'])
    torch.save(saved, path)
    with DefaultScope.overwrite_default_scope('mmdet'):
        distiller = MODELS.build(
            dict(
                type='mmdeepkd.DetectorDistiller', student=faster_rcnn(3),
                teacher=faster_rcnn(80), teacher_checkpoint=path,
                losses=dict(type='mmdeepkd.DeepKDLoss', base='dkd'),
                teacher_class_map=model['teacher_class_map']))

    assert model['teacher'].startswith('mmdet::')
    assert distiller.class_map.teacher_names == ('car', 'person', 'bicycle')
    logits = torch.randn(2, 81)
    assert torch.equal(distiller.class_map(logits), logits[:, [2, 0, 1, 80]])
