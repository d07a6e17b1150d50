# DiffKD: Faster R-CNN, ResNet-101 (box AP 39.4 in mmdet's model zoo)
#     > ResNet-50; all FPN levels, weights 1 (our choice, unpublished).
# Needs: COCO 2017 in data/coco. The learning rate is for 8 GPUs x 2 images;
#     for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmdet's model zoo.
# Launch: python tools/train.py configs/coco/diffkd_frcnn_r101_r50.py
#     or: tools/dist_train.sh configs/coco/diffkd_frcnn_r101_r50.py 8
_base_ = 'dkd_frcnn_r101_r50.py'

model = dict(losses=dict(_delete_=True, type='mmdeepkd.DiffKDLoss'))
