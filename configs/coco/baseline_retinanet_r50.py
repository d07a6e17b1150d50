# The plain student: RetinaNet, ResNet-50-FPN, 1x schedule, no teacher.
# Needs: COCO 2017 in data/coco. The learning rate is for 8 GPUs x 2 images;
#     for another batch size add --auto-scale-lr.
# Launch: python tools/train.py configs/coco/baseline_retinanet_r50.py
#     or: tools/dist_train.sh configs/coco/baseline_retinanet_r50.py 8
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
