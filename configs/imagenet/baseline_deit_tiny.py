# The plain student: DeiT-Tiny, mmpretrain's recipe of 300 epochs (top-1 74.5
#     in its model zoo), no teacher.
# Needs: ImageNet-1k in data/imagenet. The learning rate is for 4 GPUs x 256
#     images; for another batch size add --auto-scale-lr.
# Launch: python tools/train.py configs/imagenet/baseline_deit_tiny.py
#     or: tools/dist_train.sh configs/imagenet/baseline_deit_tiny.py 4
_base_ = '../_base_/imagenet_deit_tiny.py'
