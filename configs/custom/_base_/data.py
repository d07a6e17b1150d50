# YOUR DATA, named once for teacher and student: edit the first four settings.
# As shipped: three classes of the embedded digits, to rehearse with
# (python tools/dataset_tools/make_digits.py).

# A folder with annotations/train.json and annotations/val.json in COCO format
# and the images in train/ and val/.
data_root = 'data/digits/'
# Names of categories in these files, in their order; a part of them will do.
classes = ('0', '1', '2')
# Images are resized to fit into (width, height); COCO's usual is (1333, 800).
scale = (128, 128)
# Share of the training images that is mirrored; 0.5 where a mirrored object
# is still one of its class.
flip_prob = 0.0

# What follows from them.
# ('name') is no tuple but a string: the comma is forgotten.
classes = (classes, ) if isinstance(classes, str) else classes
num_classes = len(classes)
metainfo = dict(classes=classes)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(type='mmdet.Resize', scale=scale, keep_ratio=True),
    dict(type='mmdet.RandomFlip', prob=flip_prob),
    dict(type='mmdet.PackDetInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.Resize', scale=scale, keep_ratio=True),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor'))
]

# Images without an object stay in the training set (no filter_cfg).
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmdet.CocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmdet.CocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='mmdet.CocoMetric',
    ann_file=data_root.rstrip('/') + '/annotations/val.json',
    metric='bbox')
test_evaluator = val_evaluator

# The work dirs of this folder's configs; a copy has its own.
runs = 'work_dirs/' + '{{ fileDirname }}'.split('/')[-2]
# Of the teacher's training too: it checks the classes of data and models.
runner_type = 'mmdeepkd.DistillRunner'
