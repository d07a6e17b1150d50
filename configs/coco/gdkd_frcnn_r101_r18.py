# GDKD: Faster R-CNN, ResNet-101 (box AP 39.4 in mmdet's model zoo)
#     > ResNet-18; k 5, weights 1, 0.125, 0.25, T 1 as published.
# Needs: COCO 2017 in data/coco. The learning rate is for 8 GPUs x 2 images;
#     for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmdet's model zoo.
# Launch: python tools/train.py configs/coco/gdkd_frcnn_r101_r18.py
#     or: tools/dist_train.sh configs/coco/gdkd_frcnn_r101_r18.py 8
_base_ = 'dkd_frcnn_r101_r18.py'

model = dict(
    losses=dict(
        _delete_=True,
        type='mmdeepkd.GDKDLoss',
        k=5,
        weights=(1.0, 0.125, 0.25),
        temperature=1.0))
