"""Model configs of detectors that train in milliseconds."""
import copy


def preprocessor(**kwargs):
    return dict(
        type='mmdet.DetDataPreprocessor',
        mean=[120., 115., 100.],
        std=[60., 58., 57.],
        bgr_to_rgb=True,
        pad_size_divisor=32,
        **kwargs)


def faster_rcnn(num_classes=3, width=4, channels=8, norm_eval=False, **kwargs):
    backbone = dict(
        type='mmdet.ResNet',
        depth=18,
        base_channels=width,
        stem_channels=width,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=norm_eval,
        style='pytorch')
    return dict(
        type='mmdet.FasterRCNN',
        data_preprocessor=preprocessor(),
        backbone=backbone,
        neck=dict(
            type='mmdet.FPN',
            in_channels=[width * 2**i for i in range(4)],
            out_channels=channels,
            num_outs=5),
        rpn_head=dict(
            type='mmdet.RPNHead',
            in_channels=channels,
            feat_channels=channels,
            anchor_generator=dict(
                type='mmdet.AnchorGenerator',
                scales=[4],
                ratios=[0.5, 1.0, 2.0],
                strides=[4, 8, 16, 32, 64]),
            bbox_coder=_coder((1., 1., 1., 1.)),
            loss_cls=dict(
                type='mmdet.CrossEntropyLoss',
                use_sigmoid=True,
                loss_weight=1.0),
            loss_bbox=dict(type='mmdet.L1Loss', loss_weight=1.0)),
        roi_head=dict(
            type='mmdet.StandardRoIHead',
            bbox_roi_extractor=_extractor(7, channels),
            bbox_head=_bbox_head(num_classes, channels)),
        train_cfg=dict(
            rpn=dict(
                assigner=_assigner(0.7, 0.3, 0.3, True),
                sampler=_sampler(32, 0.5, False),
                allowed_border=-1,
                pos_weight=-1,
                debug=False),
            rpn_proposal=_proposals(40),
            rcnn=_rcnn(0.5)),
        test_cfg=dict(
            rpn=_proposals(20),
            rcnn=dict(
                score_thr=0.01,
                nms=dict(type='nms', iou_threshold=0.5),
                max_per_img=10)),
        **kwargs)


def cascade_rcnn(num_classes=3, stages=3, **kwargs):
    config = faster_rcnn(num_classes, **kwargs)
    config['type'] = 'mmdet.CascadeRCNN'
    head = config['roi_head']
    config['roi_head'] = dict(
        type='mmdet.CascadeRoIHead',
        num_stages=stages,
        stage_loss_weights=[1, 0.5, 0.25][:stages],
        bbox_roi_extractor=head['bbox_roi_extractor'],
        bbox_head=[
            dict(copy.deepcopy(head['bbox_head']), reg_class_agnostic=True)
            for _ in range(stages)
        ])
    config['train_cfg']['rcnn'] = [
        _rcnn(iou) for iou in (0.5, 0.6, 0.7)[:stages]
    ]
    return config


def mask_rcnn(num_classes=3, shared_extractor=False, **kwargs):
    config = faster_rcnn(num_classes, **kwargs)
    config['type'] = 'mmdet.MaskRCNN'
    config['data_preprocessor'] = preprocessor(pad_mask=True)
    channels = config['neck']['out_channels']
    head = dict(
        mask_head=dict(
            type='mmdet.FCNMaskHead',
            num_convs=1,
            in_channels=channels,
            conv_out_channels=channels,
            num_classes=num_classes,
            loss_mask=dict(
                type='mmdet.CrossEntropyLoss', use_mask=True,
                loss_weight=1.0)))
    if not shared_extractor:
        head['mask_roi_extractor'] = _extractor(14, channels)
    config['roi_head'].update(head)
    config['train_cfg']['rcnn']['mask_size'] = (
        14 if shared_extractor else 28)
    config['test_cfg']['rcnn']['mask_thr_binary'] = 0.5
    return config


def c4_faster_rcnn(num_classes=3):
    """Without a neck; the last stage of the backbone is in the RoI head."""
    config = faster_rcnn(num_classes, width=64, channels=256, norm_eval=True)
    config.pop('neck')
    config['backbone'].update(
        num_stages=3,
        out_indices=(2, ),
        strides=(1, 2, 2),
        dilations=(1, 1, 1))
    config['rpn_head']['anchor_generator']['strides'] = [16]
    head = config['roi_head']
    head['shared_head'] = dict(
        type='mmdet.ResLayer',
        depth=18,
        stage=3,
        stride=2,
        norm_eval=True,
        norm_cfg=dict(type='BN', requires_grad=True))
    head['bbox_roi_extractor'] = dict(
        _extractor(14, 256), featmap_strides=[16])
    head['bbox_head']['in_channels'] = 512
    return config


def _coder(stds):
    return dict(
        type='mmdet.DeltaXYWHBBoxCoder',
        target_means=[0., 0., 0., 0.],
        target_stds=list(stds))


def _extractor(size, channels):
    return dict(
        type='mmdet.SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=size, sampling_ratio=0),
        out_channels=channels,
        featmap_strides=[4, 8, 16, 32])


def _bbox_head(num_classes, channels):
    return dict(
        type='mmdet.Shared2FCBBoxHead',
        in_channels=channels,
        fc_out_channels=16,
        roi_feat_size=7,
        num_classes=num_classes,
        bbox_coder=_coder((0.1, 0.1, 0.2, 0.2)),
        reg_class_agnostic=False,
        loss_cls=dict(
            type='mmdet.CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        loss_bbox=dict(type='mmdet.L1Loss', loss_weight=1.0))


def _assigner(pos, neg, minimum, low_quality):
    return dict(
        type='mmdet.MaxIoUAssigner',
        pos_iou_thr=pos,
        neg_iou_thr=neg,
        min_pos_iou=minimum,
        match_low_quality=low_quality,
        ignore_iof_thr=-1)


def _sampler(num, fraction, add_gt):
    return dict(
        type='mmdet.RandomSampler',
        num=num,
        pos_fraction=fraction,
        neg_pos_ub=-1,
        add_gt_as_proposals=add_gt)


def _proposals(count):
    return dict(
        nms_pre=count,
        max_per_img=count,
        nms=dict(type='nms', iou_threshold=0.7),
        min_bbox_size=0)


def _rcnn(iou):
    return dict(
        assigner=_assigner(iou, iou, iou, False),
        sampler=_sampler(16, 0.25, True),
        pos_weight=-1,
        debug=False)
