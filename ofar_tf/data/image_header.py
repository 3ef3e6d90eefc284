"""The size and orientation of an image, read from its file's header: nothing is decoded."""

import struct
from typing import BinaryIO, NamedTuple

from ofar_tf.data.orientation import UPRIGHT, orientation_of

MOST_BYTES = 2**29
"""What TensorFlow decodes at most, in bytes of RGB: 178 million pixels, or half as many of 16 bits a channel."""

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_APP1, _EXIF = 0xE1, b"Exif\0\0"
# What an extended WebP says that it holds.
_MOVES, _HAS_TAGS = 0x02, 0x08
# Marker codes: start of frame in any coding, those of them that TensorFlow decodes, and markers without a length.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_USUAL_FRAMES = frozenset((0xC0, 0xC1, 0xC2))
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))


class ImageHeader(NamedTuple):
    """What a file says of its image.

    Attributes:
        width: In pixels, as stored.
        height: In pixels, as stored.
        bits: Of each channel, 1 to 16.
        usual: Whether it is a PNG, or a JPEG of the kinds that TensorFlow decodes: no arithmetic or lossless coding.
        orientation: The EXIF orientation tag, 1 to 8; read for JPEG, PNG and WebP.
    """

    width: int
    height: int
    bits: int
    usual: bool
    orientation: int = UPRIGHT

    @property
    def too_large(self) -> bool:
        """Whether decoding it would take more memory than TensorFlow allows."""
        return self.width * self.height * 3 * (2 if self.bits == 16 else 1) >= MOST_BYTES


def read_header(file: BinaryIO) -> ImageHeader | None:
    """Reads the header of an image file.

    Args:
        file: A file open for reading, at its start. JPEG, PNG and what else `tf.io.decode_image` knows: GIF, BMP, WebP.

    Returns:
        The header; `None` where there is none: the file is cut off before it, or no image that TensorFlow decodes to
        what a viewer shows. A moving WebP breaks its memory, and of a BMP with a palette it shows the numbers of the
        colours.
    """
    start = file.read(32)
    try:
        if start.startswith(_PNG):
            width, height, bits = struct.unpack_from(">IIB", start, 16)
            header = ImageHeader(width, height, bits, usual=True, orientation=_png_orientation(file))
        elif start.startswith(_JPEG):
            file.seek(2)
            header = _jpeg(file)
        else:
            width, height = _others(start)
            if start.startswith(b"BM"):
                _require_grey_palette(file)
            header = ImageHeader(width, height, 8, usual=False, orientation=_webp_orientation(start, file))
    except (struct.error, IndexError, ValueError):
        return None
    return header if header.width > 0 and header.height > 0 else None


def _jpeg(file: BinaryIO) -> ImageHeader:
    """Goes from segment to segment up to the start of the frame (ITU T.81, annex B)."""
    orientation = UPRIGHT
    while True:
        code = _marker(file)
        if code in _WITHOUT_LENGTH:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if code in _FRAMES:
            bits, height, width = struct.unpack(">BHH", file.read(5))
            return ImageHeader(width, height, bits, code in _USUAL_FRAMES and bits == 8, orientation)
        if length < 2 or code in (0xD9, 0xDA):
            raise ValueError("no frame before the end or the pixels")
        if code == _APP1:
            content = file.read(length - 2)
            if content.startswith(_EXIF):
                orientation = orientation_of(content[len(_EXIF) :])
        else:
            file.seek(length - 2, 1)


def _png_orientation(file: BinaryIO) -> int:
    """Goes from chunk to chunk; the one with the tags may lie before or behind the pixels."""
    file.seek(len(_PNG))
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"eXIf":
            return orientation_of(file.read(length))
        if name == b"IEND":
            break
        file.seek(length + 4, 1)
    return UPRIGHT


def _marker(file: BinaryIO) -> int:
    if file.read(1) != b"\xff":
        raise ValueError("no marker")
    code = 0xFF
    while code == 0xFF:  # Any number of them may fill the space before a marker.
        code = file.read(1)[0]
    return code


def _others(start: bytes) -> tuple[int, int]:
    """Returns the width and height of a GIF, BMP or WebP."""
    if start.startswith((b"GIF87a", b"GIF89a")):
        return struct.unpack_from("<HH", start, 6)
    if start.startswith(b"BM"):
        width, height = struct.unpack_from("<ii", start, 18)
        return width, abs(height)
    kind = start[12:16] if start.startswith(b"RIFF") and start[8:12] == b"WEBP" else b""
    if kind == b"VP8X":
        if start[20] & _MOVES:
            raise ValueError("several pictures")
        width, height = (int.from_bytes(start[place : place + 3], "little") for place in (24, 27))
        return width + 1, height + 1
    if kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", start, 21)
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", start, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no image that TensorFlow decodes")


def _webp_orientation(start: bytes, file: BinaryIO) -> int:
    """Goes from chunk to chunk of an extended WebP; the tags lie behind the pixels."""
    if start[8:16] != b"WEBPVP8X" or not start[20] & _HAS_TAGS:
        return UPRIGHT
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name == b"EXIF":
            return orientation_of(file.read(length).removeprefix(_EXIF))
        file.seek(length + length % 2, 1)
    return UPRIGHT


def _require_grey_palette(file: BinaryIO) -> None:
    """Refuses a BMP whose pixels are numbers of colours, unless number n is the grey of value n."""
    file.seek(0)
    start = file.read(14 + 40)
    (length,) = struct.unpack_from("<I", start, 14)
    (bits,) = struct.unpack_from("<H", start, 28)
    if bits > 8:
        return
    file.seek(14 + length)
    palette = file.read(4 * 2**bits)
    if bits < 8 or any(palette[4 * grey : 4 * grey + 3] != bytes([grey] * 3) for grey in range(len(palette) // 4)):
        raise ValueError("a palette of colours")
