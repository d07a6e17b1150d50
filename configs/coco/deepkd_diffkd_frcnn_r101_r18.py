# DeepKD over DKD and DiffKD: Faster R-CNN, ResNet-101 (box AP 39.4 in mmdet's
#     model zoo) > ResNet-18; DeepKD as in deepkd_frcnn_r101_r18.py, all FPN
#     levels with weights 1 and SGD's momentum (our choice, unpublished).
# Needs: COCO 2017 in data/coco. The learning rate is for 8 GPUs x 2 images;
#     for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmdet's model zoo.
# Launch: python tools/train.py configs/coco/deepkd_diffkd_frcnn_r101_r18.py
#     or: tools/dist_train.sh configs/coco/deepkd_diffkd_frcnn_r101_r18.py 8
_base_ = 'deepkd_frcnn_r101_r18.py'

model = dict(
    losses=[{{_base_.model.losses}}, dict(type='mmdeepkd.DiffKDLoss')])
# For the task's momentum write feature=0.05, which is also what `delta=0.05`
# gives the features.
optim_wrapper = dict(
    delta=None,
    offsets=dict(task=0.05, target=-0.05, non_target=0.05, feature=0.0))
