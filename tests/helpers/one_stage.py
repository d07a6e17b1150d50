"""Model configs of one-stage detectors that train in milliseconds."""
from .detectors import faster_rcnn, preprocessor

_STRIDES = [8, 16, 32, 64, 128]


def retinanet(num_classes=3, width=4, channels=8, norm_eval=False):
    """With the levels 8 to 128 of the shipped ones."""
    head = dict(
        type='mmdet.RetinaHead',
        stacked_convs=1,
        anchor_generator=dict(
            type='mmdet.AnchorGenerator',
            octave_base_scale=4,
            scales_per_octave=1,
            ratios=[0.5, 1.0, 2.0],
            strides=_STRIDES),
        bbox_coder=_coder(1.),
        loss_cls=_focal(),
        loss_bbox=dict(type='mmdet.L1Loss', loss_weight=1.0))
    assigner = dict(
        type='mmdet.MaxIoUAssigner',
        pos_iou_thr=0.5,
        neg_iou_thr=0.4,
        min_pos_iou=0,
        ignore_iof_thr=-1)
    return _dense('RetinaNet', head, num_classes, width, channels, norm_eval,
                  dict(
                      assigner=assigner,
                      sampler=dict(type='mmdet.PseudoSampler'),
                      allowed_border=-1,
                      pos_weight=-1,
                      debug=False))


def fcos(num_classes=3, width=4, channels=8, norm_eval=False):
    head = dict(
        type='mmdet.FCOSHead',
        stacked_convs=1,
        norm_cfg=None,
        strides=_STRIDES,
        loss_cls=_focal(),
        loss_bbox=dict(type='mmdet.IoULoss', loss_weight=1.0),
        loss_centerness=_binary())
    return _dense('FCOS', head, num_classes, width, channels, norm_eval, None)


def atss(num_classes=3, width=4, channels=8, norm_eval=False):
    head = dict(
        type='mmdet.ATSSHead',
        stacked_convs=1,
        norm_cfg=None,
        anchor_generator=dict(
            type='mmdet.AnchorGenerator',
            ratios=[1.0],
            octave_base_scale=8,
            scales_per_octave=1,
            strides=_STRIDES),
        bbox_coder=_coder(0.1),
        loss_cls=_focal(),
        loss_bbox=dict(type='mmdet.GIoULoss', loss_weight=2.0),
        loss_centerness=_binary())
    return _dense('ATSS', head, num_classes, width, channels, norm_eval,
                  dict(
                      assigner=dict(type='mmdet.ATSSAssigner', topk=9),
                      allowed_border=-1,
                      pos_weight=-1,
                      debug=False))


def detr(num_classes=3, width=4, channels=8):
    """With one level, of stride 32, and dropout."""
    backbone = dict(faster_rcnn(width=width)['backbone'], out_indices=(3, ))
    attention = dict(
        embed_dims=channels, num_heads=2, dropout=0.1, batch_first=True)
    ffn = dict(embed_dims=channels, feedforward_channels=16, ffn_drop=0.1)
    costs = [
        dict(type='mmdet.ClassificationCost', weight=1.),
        dict(type='mmdet.BBoxL1Cost', weight=5.0, box_format='xywh'),
        dict(type='mmdet.IoUCost', iou_mode='giou', weight=2.0)
    ]
    return dict(
        type='mmdet.DETR',
        num_queries=5,
        data_preprocessor=preprocessor(),
        backbone=backbone,
        neck=dict(
            type='mmdet.ChannelMapper',
            in_channels=[width * 8],
            kernel_size=1,
            out_channels=channels,
            act_cfg=None,
            norm_cfg=None,
            num_outs=1),
        encoder=dict(
            num_layers=1,
            layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=ffn)),
        decoder=dict(
            num_layers=1,
            layer_cfg=dict(
                self_attn_cfg=attention,
                cross_attn_cfg=attention,
                ffn_cfg=ffn),
            return_intermediate=True),
        positional_encoding=dict(num_feats=channels // 2, normalize=True),
        bbox_head=dict(
            type='mmdet.DETRHead',
            num_classes=num_classes,
            embed_dims=channels,
            loss_cls=dict(
                type='mmdet.CrossEntropyLoss',
                bg_cls_weight=0.1,
                use_sigmoid=False,
                loss_weight=1.0,
                class_weight=1.0),
            loss_bbox=dict(type='mmdet.L1Loss', loss_weight=5.0),
            loss_iou=dict(type='mmdet.GIoULoss', loss_weight=2.0)),
        train_cfg=dict(
            assigner=dict(type='mmdet.HungarianAssigner', match_costs=costs)),
        test_cfg=dict(max_per_img=5))


def _dense(kind, head, num_classes, width, channels, norm_eval, train_cfg):
    backbone = faster_rcnn(width=width, norm_eval=norm_eval)['backbone']
    return dict(
        type=f'mmdet.{kind}',
        data_preprocessor=preprocessor(),
        backbone=backbone,
        neck=dict(
            type='mmdet.FPN',
            in_channels=[width * 2**i for i in range(4)],
            out_channels=channels,
            start_level=1,
            add_extra_convs='on_output',
            num_outs=5),
        bbox_head=dict(
            head,
            num_classes=num_classes,
            in_channels=channels,
            feat_channels=channels),
        train_cfg=train_cfg,
        test_cfg=dict(
            nms_pre=20,
            min_bbox_size=0,
            score_thr=0.0,
            nms=dict(type='nms', iou_threshold=0.5),
            max_per_img=10))


def _coder(std):
    return dict(
        type='mmdet.DeltaXYWHBBoxCoder',
        target_means=[0., 0., 0., 0.],
        target_stds=[std, std, 2 * std, 2 * std])


def _focal():
    return dict(
        type='mmdet.FocalLoss',
        use_sigmoid=True,
        gamma=2.0,
        alpha=0.25,
        loss_weight=1.0)


def _binary():
    return dict(
        type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)
