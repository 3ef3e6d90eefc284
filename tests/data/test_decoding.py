import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data.decoding import decode_image_file, decode_stored, depth_of
from ofar_tf.data.image_header import read_header

# A picture that no turn or mirror leaves as it is: white upper left, grey at the right of the upper half.
PICTURE = np.zeros((40, 60, 3), np.uint8)
PICTURE[:20, :30] = 255
PICTURE[:10, 40:] = 128

# How a viewer turns what is stored, by the tag (Exif 2.3, 4.6.4), written with numpy's own turns.
TURNS = {
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: np.rot90(np.fliplr(image)),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(np.fliplr(image), -1),
    8: np.rot90,
}


def exif(*entries, order="<", first=8):
    """Returns a TIFF header and one directory of short values."""
    mark = b"II" if order == "<" else b"MM"
    directory = struct.pack(f"{order}H", len(entries))
    for tag, value in entries:
        directory += struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0)
    return mark + struct.pack(f"{order}HI", 42, first) + b"\0" * (first - 8) + directory + b"\0" * 4


def orientation(encoded):
    header = read_header(io.BytesIO(encoded))
    return header and header.orientation


def jpeg(block=None, *, before=b"", picture=PICTURE):
    encoded = tf.io.encode_jpeg(picture, quality=100).numpy()
    if block is None:
        return encoded
    segment = b"Exif\0\0" + block
    return encoded[:2] + before + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + encoded[2:]


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(block=None, *, last=False, picture=PICTURE):
    encoded = tf.io.encode_png(picture).numpy()
    place = len(encoded) - 12 if last else 33  # Before the chunk IEND, or after IHDR.
    return encoded if block is None else encoded[:place] + chunk(b"eXIf", block) + encoded[place:]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("tag", range(1, 9))
def test_an_image_is_seen_as_a_viewer_shows_it(tag, order):
    block = exif((0x010F, 7), (0x0112, tag), (0x0128, 2), order=order)
    seen = TURNS[tag](PICTURE)
    np.testing.assert_array_equal(decode_image_file(png(block)), seen)
    np.testing.assert_array_equal(decode_image_file(png(block, last=True)), seen)
    from_jpeg = decode_image_file(jpeg(block)).numpy()
    assert from_jpeg.shape == seen.shape
    assert np.abs(from_jpeg.astype(int) - seen).mean() < 3


def test_the_turn_is_the_same_in_a_pipeline():
    files = [png(exif((0x0112, tag))) for tag in range(1, 9)]
    images = tf.data.Dataset.from_tensor_slices(files).map(decode_image_file, num_parallel_calls=2)
    for tag, image in enumerate(images.as_numpy_iterator(), start=1):
        np.testing.assert_array_equal(image, TURNS[tag](PICTURE))


def test_the_tag_is_found_behind_other_segments():
    profile = b"\xff\xe2" + struct.pack(">H", 30_002) + b"\x55" * 30_000
    assert orientation(jpeg(exif((0x0112, 6)), before=profile)) == 6
    assert orientation(jpeg(exif((0x0112, 6), first=200))) == 6


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II",
        b"II*\0",
        b"garbage of some length that is no header at all",
        exif((0x0112, 0)),
        exif((0x0112, 9)),
        exif((0x0110, 6)),
        exif(),
        exif((0x0112, 6))[:14],
        exif((0x0112, 6))[:8] + b"\xff\xff",  # A directory of 65,535 entries that are not there.
        b"II*\0\xff\xff\xff\x7f" + exif((0x0112, 6))[8:],
        b"MM\0*\xff\xff\xff\xff" + exif((0x0112, 6))[8:],
    ],
)
def test_no_tag_or_a_damaged_one_leaves_the_image_as_it_is(block):
    np.testing.assert_array_equal(decode_image_file(png(block)), PICTURE)
    assert orientation(jpeg(block)) == 1


def deep(values):
    """A 16-bit PNG of these grey values."""
    return tf.io.encode_png(np.asarray(values, np.uint16)[:, :, None]).numpy()


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_16_bit_png_is_scaled_by_the_bits_that_it_uses(bits):
    values = np.linspace(0, 2**bits - 1, 600).reshape(20, 30).astype(int)
    image = decode_image_file(deep(values)).numpy()
    assert image.dtype == np.uint8
    for channel in range(3):
        np.testing.assert_array_equal(image[..., channel], values >> (bits - 8))
    assert (image.min(), image.max()) == (0, 255)
    assert depth_of(deep(values)) == bits


def test_a_full_16_bit_png_is_what_tensorflow_makes_of_it():
    values = np.random.default_rng(0).integers(0, 2**16, (9, 7, 3), np.uint16)
    encoded = tf.io.encode_png(values).numpy()
    np.testing.assert_array_equal(decode_image_file(encoded), tf.io.decode_png(encoded, channels=3))


def test_a_dark_image_of_a_12_bit_camera_stays_dark():
    values = np.full((4, 4), 500)
    assert decode_image_file(deep(values), depth=12).numpy().max() == 500 >> 4
    assert decode_image_file(deep(values)).numpy().max() == 500 >> 2  # Alone, it is taken for one of 10 bits.


def test_an_image_of_more_bits_than_the_others_is_not_cut_off():
    assert decode_image_file(deep([[0, 60_000]]), depth=12).numpy().max() == 60_000 >> 8


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_of_8_bits_are_what_they_were(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, channels), np.uint8)
    encoded = tf.io.encode_png(pixels).numpy()
    np.testing.assert_array_equal(decode_image_file(encoded), tf.io.decode_image(encoded, channels=3))
    assert depth_of(b"no image") == 8


def test_a_turned_deep_image_is_both_turned_and_scaled():
    encoded = deep([[0, 4095], [0, 0]])
    encoded = encoded[:33] + chunk(b"eXIf", exif((0x0112, 6))) + encoded[33:]
    np.testing.assert_array_equal(decode_image_file(encoded)[..., 0], [[0, 0], [0, 255]])


def test_pillow_agrees():
    image_module = pytest.importorskip("PIL.Image")
    operations = pytest.importorskip("PIL.ImageOps")
    for kind in ("PNG", "JPEG", "WEBP"):
        for tag in range(10):
            tags = image_module.Exif()
            tags[0x010F], tags[0x0112] = "maker", tag
            file = io.BytesIO()
            image_module.fromarray(PICTURE).save(file, kind, exif=tags, lossless=True)
            seen = np.asarray(operations.exif_transpose(image_module.open(file)).convert("RGB"))
            got = decode_image_file(file.getvalue()).numpy()
            assert got.shape == seen.shape
            assert np.abs(got.astype(int) - seen).max() <= 4


def test_an_image_as_it_is_stored_is_not_looked_at():
    np.testing.assert_array_equal(decode_stored(png(exif((0x0112, 6)))), PICTURE)
