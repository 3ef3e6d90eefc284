"""What a file is that is called as an image but cannot be read, by its first bytes: said, it need not be searched."""

import re

_MOVES = re.escape(bytes(flags for flags in range(256) if flags & 0x02))
# The first that fits.
_KINDS = (
    (rb".{4}ftypavi[fs]", "an AVIF image"),
    (rb".{4}ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", "a HEIC image"),
    (rb".{4}ftyp", "a video"),
    (rb"II\*\0|MM\0\*", "a TIFF image"),
    (rb"RIFF.{4}WEBPVP8X.{4}[" + _MOVES + rb"]", "a moving WebP"),
    (rb"BM.{26}[\x01\x04\x08]\0", "a BMP with a palette"),
    (rb"8BPS", "a Photoshop file"),
    (rb"%PDF", "a PDF"),
    (rb"version https://git-lfs", "a pointer of Git LFS"),
    (rb"\s*<svg", "an SVG drawing"),
    (rb"\s*<(!doctype|html)", "a web page"),
)


def unread_kind(start: bytes) -> str:
    """Returns what a file is that `read_header` finds no header in.

    Args:
        start: Its first 32 bytes.

    Returns:
        `a HEIC image`, for instance, in spite of a suffix `.jpg`; empty where it is none of the usual.
    """
    return next((kind for form, kind in _KINDS if re.match(form, start, re.DOTALL | re.IGNORECASE)), "")
