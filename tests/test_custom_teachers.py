"""The teachers of other classes that docs/custom_data.md describes."""
import pytest
from mmengine.registry import MODELS, DefaultScope

from tests.helpers.batches import detection_batch
from tests.helpers.custom_page import page_config
from tests.helpers.detectors import faster_rcnn
from tests.helpers.distillers import write_teacher
from tests.helpers.one_stage import retinanet


@pytest.mark.parametrize('base, changed', [
    ('deepkd_pretrained', {'teacher', 'teacher_checkpoint',
                           'teacher_class_map'}),
    ('diffkd_pretrained', {'teacher', 'teacher_checkpoint'}),
    ('deepkd_small', {'losses'})])
def test_a_config_of_the_page_changes_what_it_says(base, changed, tmp_path):
    own, template = page_config(base, tmp_path)

    assert {key for key in own.model.keys() | template.model.keys()
            if own.model.get(key) != template.model.get(key)} == changed
    assert {key for key in own.keys() | template.keys()
            if own.get(key) != template.get(key)} == {'model', 'work_dir'}
    if changed == {'losses'}:
        # Of DeepKD alone the rest is as in the template.
        assert own.model.losses[0] == template.model.losses
        assert [each.type for each in own.model.losses] == [
            'mmdeepkd.DeepKDLoss', 'mmdeepkd.DiffKDLoss']
        assert own.optim_wrapper.type == 'mmdeepkd.DeepKDOptimWrapper'


def test_a_teacher_of_other_classes_and_stages_teaches_the_maps(tmp_path):
    """The page's, with smaller models; logits are refused."""
    path = write_teacher(retinanet(80), tmp_path / 'teacher.pth')
    cfg, _ = page_config('diffkd_pretrained', tmp_path)
    both = [dict(type='mmdeepkd.DeepKDLoss', base='dkd'), cfg.model.losses]
    assert cfg.model.teacher.startswith('mmdet::retinanet/')
    assert cfg.model.teacher_checkpoint.startswith('https://')

    model = dict(cfg.model, student=faster_rcnn(3), teacher=retinanet(80),
                 teacher_checkpoint=path)
    with DefaultScope.overwrite_default_scope('mmdet'):
        distiller = MODELS.build(model)
        with pytest.raises(TypeError, match='distils the RoI logits'):
            MODELS.build(dict(model, losses=both))
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
            faster_rcnn(5), tmp_path / 'teacher.pth'),
        losses=page_config('deepkd_small', tmp_path)[0].model.losses)
    with DefaultScope.overwrite_default_scope('mmdet'):
        distiller = MODELS.build(dict(model, teacher_class_map=[4, 0, 2]))
        with pytest.raises(ValueError, match='teacher_class_map'):
            MODELS.build(model)

    assert [loss.streams for loss in distiller.losses] == [
        ('target', 'non_target'), ('feature', )]
