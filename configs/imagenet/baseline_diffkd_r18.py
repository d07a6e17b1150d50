# The plain student of DiffKD's recipe: ResNet-18, 100 epochs at batch 256,
#     Nesterov, no weight decay of biases and BatchNorm; no teacher.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 8 GPUs x 32
#     images; for another batch size add --auto-scale-lr.
# Launch: python tools/train.py configs/imagenet/baseline_diffkd_r18.py
#     or: tools/dist_train.sh configs/imagenet/baseline_diffkd_r18.py 8
_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    '../_base_/imagenet_diffkd_100e.py',
    'mmpretrain::_base_/default_runtime.py'
]
