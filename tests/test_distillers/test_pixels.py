import torch
from mmengine.model import ImgDataPreprocessor
from torch.testing import assert_close

from mmdeepkd.distillers import PixelFormat, convert_pixels

SHAPES = [(20, 30), (32, 17)]
RGB = dict(mean=[120., 115., 100.], std=[60., 58., 57.], bgr_to_rgb=True)
CAFFE = dict(mean=[103., 116., 123.], std=[1., 1., 1.], bgr_to_rgb=False)


def pixel_format(settings, pad_value=0, divisor=32):
    return PixelFormat(
        tuple(settings['mean']), tuple(settings['std']),
        settings['bgr_to_rgb'], pad_value, divisor)


def prepared(settings, pad_value=0, divisor=32):
    """What MMEngine's preprocessor makes of two images."""
    torch.manual_seed(0)
    images = [torch.randint(0, 256, (3, *s), dtype=torch.uint8)
              for s in SHAPES]
    preprocessor = ImgDataPreprocessor(
        pad_value=pad_value, pad_size_divisor=divisor, **settings)
    return preprocessor(dict(inputs=images))['inputs']


def convert(inputs, source, target):
    return convert_pixels(inputs, source, target, SHAPES)


def test_another_mean_std_and_channel_order():
    assert_close(
        convert(prepared(RGB), pixel_format(RGB), pixel_format(CAFFE)),
        prepared(CAFFE), rtol=1e-4, atol=1e-3)
    assert_close(
        convert(prepared(CAFFE), pixel_format(CAFFE), pixel_format(RGB)),
        prepared(RGB), rtol=1e-4, atol=1e-4)


def test_padding_gets_the_targets_value_and_divisor():
    assert_close(
        convert(prepared(RGB, 5), pixel_format(RGB, 5),
                pixel_format(CAFFE, -2, 48)),
        prepared(CAFFE, -2, 48), rtol=1e-4, atol=1e-3)
    assert torch.equal(
        convert(prepared(RGB, 5), pixel_format(RGB, 5),
                pixel_format(RGB, -2, 64)),
        prepared(RGB, -2, 64))


def test_equal_formats_share_the_batch():
    inputs = prepared(RGB)

    assert convert(inputs, pixel_format(RGB), pixel_format(RGB)) is inputs


def test_the_students_batch_is_not_modified():
    for target in (pixel_format(RGB, 3), pixel_format(CAFFE, 3)):
        inputs = prepared(RGB)
        before = inputs.clone()
        convert(inputs, pixel_format(RGB), target)
        assert torch.equal(inputs, before)
