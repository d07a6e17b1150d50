# The operations of the strong view of MLKD and CRLD, for RandAugment with
# num_policies=2, magnitude_level=10 and magnitude_std='inf': two of these 14
# at a magnitude drawn uniformly from the range, signs drawn too. Every chosen
# operation is applied.
strong_view_policies = [
    dict(type='mmpretrain.AutoContrast', prob=1.0),
    # These four only weaken: by factors from 0.05 to 0.95.
    dict(
        type='mmpretrain.Brightness',
        magnitude_range=(-0.95, -0.05),
        random_negative_prob=0.0,
        prob=1.0),
    dict(
        type='mmpretrain.ColorTransform',
        magnitude_range=(-0.95, -0.05),
        random_negative_prob=0.0,
        prob=1.0),
    dict(
        type='mmpretrain.Contrast',
        magnitude_range=(-0.95, -0.05),
        random_negative_prob=0.0,
        prob=1.0),
    dict(
        type='mmpretrain.Sharpness',
        magnitude_range=(-0.95, -0.05),
        random_negative_prob=0.0,
        prob=1.0),
    dict(type='mmpretrain.Equalize', prob=1.0),
    # The identity.
    dict(type='mmpretrain.Equalize', prob=0.0),
    # 4 to 7 bits: mmpretrain rounds up.
    dict(type='mmpretrain.Posterize', magnitude_range=(3, 7), prob=1.0),
    dict(type='mmpretrain.Solarize', magnitude_range=(0, 256), prob=1.0),
    dict(
        type='mmpretrain.Rotate',
        magnitude_range=(0, 30),
        random_negative_prob=0.5,
        prob=1.0),
    dict(
        type='mmpretrain.Shear',
        magnitude_range=(0, 0.3),
        direction='horizontal',
        interpolation='nearest',
        random_negative_prob=0.5,
        prob=1.0),
    dict(
        type='mmpretrain.Shear',
        magnitude_range=(0, 0.3),
        direction='vertical',
        interpolation='nearest',
        random_negative_prob=0.5,
        prob=1.0),
    dict(
        type='mmpretrain.Translate',
        magnitude_range=(0, 0.3),
        direction='horizontal',
        random_negative_prob=0.5,
        prob=1.0),
    dict(
        type='mmpretrain.Translate',
        magnitude_range=(0, 0.3),
        direction='vertical',
        random_negative_prob=0.5,
        prob=1.0)
]
