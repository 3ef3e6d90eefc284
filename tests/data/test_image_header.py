import io
import struct

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data.image_header import MOST_BYTES, ImageHeader, read_header

PIXELS = np.zeros((40, 60, 3), np.uint8)
JPEG = tf.io.encode_jpeg(PIXELS).numpy()
PNG = tf.io.encode_png(PIXELS).numpy()


def header_of(content):
    return read_header(io.BytesIO(content))


@pytest.mark.parametrize(
    ("content", "bits", "usual"),
    [
        (JPEG, 8, True),
        (tf.io.encode_jpeg(PIXELS, progressive=True).numpy(), 8, True),
        (PNG, 8, True),
        (tf.io.encode_png(PIXELS.astype(np.uint16)).numpy(), 16, True),
    ],
)
def test_the_size_is_read_without_decoding(content, bits, usual):
    assert header_of(content) == ImageHeader(60, 40, bits, usual)
    assert header_of(content[: len(content) // 2 + 100]) == ImageHeader(60, 40, bits, usual)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF"])
def test_other_formats_that_tensorflow_decodes_are_read_as_well(kind):
    image_module = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image_module.fromarray(PIXELS).save(file, kind)
    assert header_of(file.getvalue()) == (None if kind == "TIFF" else ImageHeader(60, 40, 8, usual=False))


def test_lossless_and_extended_webp_are_read():
    image_module = pytest.importorskip("PIL.Image")
    for options in ({"lossless": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}):
        file = io.BytesIO()
        image_module.fromarray(PIXELS).save(file, "WEBP", **options)
        assert header_of(file.getvalue()) == ImageHeader(60, 40, 8, usual=False)


def test_segments_and_fill_bytes_before_the_frame_are_passed_over():
    comment = b"\xff\xfe" + struct.pack(">H", 60_002) + b"\xff\xc0" * 30_000
    assert header_of(JPEG[:2] + comment + b"\xff" * 9 + JPEG[2:]) == ImageHeader(60, 40, 8, usual=True)


@pytest.mark.parametrize(("code", "bits"), [(0xC9, 8), (0xC3, 8), (0xC1, 12)])
def test_jpegs_that_tensorflow_does_not_decode_are_told_apart(code, bits):
    frame = b"\xff\xd8\xff" + bytes([code]) + struct.pack(">HBHH", 17, bits, 40, 60)
    assert header_of(frame) == ImageHeader(60, 40, bits, usual=False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\x00\x00",
        b"\xff\xd8" + b"\xff" * 100,
        b"\xff\xd8\xff\xda\x00\x08",
        b"\xff\xd8 no marker",
        PNG[:20],
        PNG[:16] + b"\0" * 8 + PNG[24:],
        b"<html></html>",
        b"GIF89a",
        b"RIFF____WEBPABCD" + b"\0" * 16,
    ],
)
def test_without_a_header_there_is_none(content):
    assert header_of(content) is None


@pytest.mark.parametrize(
    ("width", "height", "bits", "too_large"),
    [
        (30_000, 30_000, 8, True),
        (10_000, 10_000, 8, False),
        (10_000, 10_000, 16, True),
        (2**14, 2**15 // 3, 8, False),
        (2**31 - 1, 1, 8, True),
    ],
)
def test_the_bound_is_what_tensorflow_decodes(width, height, bits, too_large):
    assert MOST_BYTES == 536_870_912
    assert ImageHeader(width, height, bits, usual=True).too_large is too_large
