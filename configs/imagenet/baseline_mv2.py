# The plain student: MobileNetV2, 100 epochs, no teacher.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 64
#     images; for another batch size add --auto-scale-lr.
# Launch: python tools/train.py configs/imagenet/baseline_mv2.py
#     or: tools/dist_train.sh configs/imagenet/baseline_mv2.py 8
_base_ = [
    'mmpretrain::_base_/models/mobilenet_v2_1x.py', '../_base_/imagenet.py',
    '../_base_/imagenet_step_100e.py',
    'mmpretrain::_base_/default_runtime.py'
]
