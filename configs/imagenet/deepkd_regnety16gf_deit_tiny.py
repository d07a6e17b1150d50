# DeepKD over KD: RegNetY-16GF > DeiT-Tiny; T 1, task weight 0.5, delta 0.05
#     on AdamW's first moments (our choice, unpublished), dynamic top-K. It
#     splits the classes by the label, one per image: no Mixup, no CutMix.
# Needs: ImageNet-1k in data/imagenet, and timm. The learning rate is for
#     4 GPUs x 256 images; for another batch size add --auto-scale-lr.
#     The teacher, DeiT's own, in checkpoints/imagenet/regnety_160.pth:
#     python -c "import timm, torch; torch.save(timm.create_model(
#     'regnety_160.deit_in1k', pretrained=True).state_dict(),
#     'checkpoints/imagenet/regnety_160.pth')"
# Launch: python tools/train.py \
#             configs/imagenet/deepkd_regnety16gf_deit_tiny.py
#     or: tools/dist_train.sh \
#             configs/imagenet/deepkd_regnety16gf_deit_tiny.py 4
_base_ = '../_base_/imagenet_pairs/regnety16gf_deit_tiny.py'

model = dict(
    student=dict(train_cfg=None),
    task_weight=0.5,
    losses=dict(type='mmdeepkd.DeepKDLoss', base='kd', temperature=1.0))
optim_wrapper = dict(type='mmdeepkd.DeepKDOptimWrapper', delta=0.05)
default_hooks = dict(topk=dict(type='mmdeepkd.DynamicTopKHook'))
