"""The teachers of other classes that docs/custom_data.md describes."""
import re

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from tests.helpers.batches import detection_batch
from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import write_teacher
from tests.helpers.one_stage import retinanet
from tests.helpers.processes import ROOT

PAGE = (ROOT / 'docs' / 'custom_data.md').read_text(encoding='utf-8')
# A class map, a teacher of another kind, and a list of losses.
BLOCKS = re.findall(r'```python\n(model = .*?)```', PAGE, re.DOTALL)


def test_a_teacher_of_other_classes_and_stages_teaches_the_maps(tmp_path):
    """The page's, and its list of losses, with smaller models."""
    other, both = (python_of(text) for text in BLOCKS[1:])
    path = write_teacher(retinanet(80), tmp_path / 'teacher.pth')
    cfg = Config.fromfile(ROOT / 'configs' / 'custom' / 'diffkd_small.py')
    cfg.merge_from_dict(dict(model=other))
    assert cfg.model.teacher.startswith('mmdet::retinanet/')
    assert cfg.model.teacher_checkpoint.startswith('https://')

    model = dict(cfg.model, student=faster_rcnn(3), teacher=retinanet(80),
                 teacher_checkpoint=path)
    with DefaultScope.overwrite_default_scope('mmdet'):
        distiller = MODELS.build(model)
        with pytest.raises(TypeError, match='distils the RoI logits'):
            MODELS.build(dict(model, losses=both['losses']))
        for unused in (dict(teacher_class_map=[0, 1, 2]),
                       dict(teacher_stage=0)):
            with pytest.raises(ValueError, match='leave .* out'):
                MODELS.build(dict(model, **unused))
    batch = distiller.data_preprocessor(
        detection_batch(size=64, num_classes=3), True)
    losses = distiller(**batch, mode='loss')

    assert [key for key in losses if key.startswith('feature.loss_diffkd_l')]
    assert list(distiller.distill) == ['diffkd']


def test_a_list_of_losses_distils_logits_and_maps(tmp_path):
    """Of a teacher of other classes, of which the map picks."""
    model = dict(
        type='mmdeepkd.DetectorDistiller', student=faster_rcnn(3),
        teacher=faster_rcnn(5), teacher_checkpoint=write_teacher(
            faster_rcnn(5), tmp_path / 'teacher.pth'), **python_of(BLOCKS[-1]))
    with DefaultScope.overwrite_default_scope('mmdet'):
        distiller = MODELS.build(dict(model, teacher_class_map=[4, 0, 2]))
        with pytest.raises(ValueError, match='teacher_class_map'):
            MODELS.build(model)

    assert [loss.streams for loss in distiller.losses] == [
        ('target', 'non_target'), ('feature', )]


def python_of(text):
    """Return the model that a block of the page sets."""
    scope = {}
    exec(text, dict(), scope)  # noqa: S102  (our own page)
    return scope['model']
