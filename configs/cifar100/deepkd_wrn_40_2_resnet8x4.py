# DeepKD over KD: WRN-40-2 > ResNet-8x4, CIFAR-100; T 4, task weight 0.8,
#     dynamic top-K. Values: haiduo/DeepKD
#     configs/cifar100/ours/kd/wrn_40_2_resnet8x4.yaml; that file has no
#     top-K.
# Needs: checkpoints/cifar100/wrn_40_2.pth, the teacher, from
#     tools/convert_teacher.py or teacher_wrn_40_2.py; data/cifar100
#     (mmpretrain downloads it).
# Launch: python tools/train.py configs/cifar100/deepkd_wrn_40_2_resnet8x4.py
_base_ = [
    '../_base_/cifar100_pairs/wrn_40_2_resnet8x4.py',
    '../_base_/cifar100.py', '../_base_/cifar100_step_240e.py'
]

model = dict(
    task_weight=0.8,
    losses=dict(type='mmdeepkd.DeepKDLoss', base='kd', temperature=4.0))
optim_wrapper = dict(
    type='mmdeepkd.DeepKDOptimWrapper',
    offsets=dict(task=0.075, target=-0.075, non_target=0.085))
train_dataloader = dict(batch_size=128)
auto_scale_lr = dict(base_batch_size=128)
default_hooks = dict(topk=dict(type='mmdeepkd.DynamicTopKHook'))
