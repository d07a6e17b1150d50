# MLKD on Digits-100: two views of every image, five temperatures, and the
# relations between samples and between classes.
# Needs: the teacher of teacher_resnet8w32.py, trained by its command into
#     work_dirs/digits100/teacher. The data are made in memory.
# Launch: python tools/train.py configs/digits100/mlkd_resnet8w32_resnet8w4.py
_base_ = 'kd_resnet8w32_resnet8w4.py'

model = dict(
    losses=dict(
        _delete_=True,
        type='mmdeepkd.MLKDLoss',
        temperatures=(4.0, 3.0, 5.0, 2.0, 6.0),
        loss_weight=0.9))
data_preprocessor = dict(type='mmdeepkd.TwoViewDataPreprocessor')
# The weak view is the image as every other method sees it; the strong one has
# other brightness and contrast, and at times a patch of bare paper (grey 80).
strong_view = [
    dict(type='mmpretrain.ColorJitter', brightness=0.2, contrast=0.2),
    dict(
        type='mmpretrain.RandomErasing',
        erase_prob=0.5,
        min_area_ratio=0.02,
        max_area_ratio=0.1,
        fill_color=(80, 80, 80))
]
train_dataloader = dict(
    dataset=dict(pipeline=[
        dict(
            type='mmpretrain.MultiView',
            num_views=[1, 1],
            transforms=[[], strong_view]),
        dict(type='mmpretrain.PackInputs', meta_keys=())
    ]))
