# DeepKD over DKD: Faster R-CNN, ResNet-50 (box AP 37.4 in mmdet's model zoo)
#     > MobileNetV2; DKD's weights, delta 0.05, dynamic top-K.
# Needs: COCO 2017 in data/coco. The learning rate is for 8 GPUs x 2 images;
#     for another batch size add --auto-scale-lr.
#     The teacher is downloaded from mmdet's model zoo.
# Launch: python tools/train.py configs/coco/deepkd_frcnn_r50_mv2.py
#     or: tools/dist_train.sh configs/coco/deepkd_frcnn_r50_mv2.py 8
_base_ = 'dkd_frcnn_r50_mv2.py'

model = dict(losses=dict(type='mmdeepkd.DeepKDLoss', base='dkd'))
optim_wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05)
default_hooks = dict(topk=dict(type='mmdeepkd.DynamicTopKHook'))
