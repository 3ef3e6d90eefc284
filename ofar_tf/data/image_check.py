"""Image files looked at before anything is trained on them: whole, of a bearable size, and how deep."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import tensorflow as tf

from ofar_tf.data.class_folders import ClassFolder
from ofar_tf.data.decoding import decode_image_file, depth_of
from ofar_tf.data.file_names import readable
from ofar_tf.data.image_header import ImageHeader, read_header
from ofar_tf.files import atomic_file

_FIRST_AND_LAST_BYTES = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"))  # JPEG and PNG.
# Opening files takes longer than listing them, minutes at ImageNet's size. From here on it is remembered what was
# found, so that only folders that have changed are looked at again.
_MANY = 20_000
# As many files of 16 bits are decoded, of each class, to learn how many of the bits are used.
_DEEP_SAMPLE = 8


def check_images(folders: Iterable[ClassFolder]) -> int:
    """Opens every file once and reads its two ends; pixels are decoded only where these leave a doubt.

    Of more than 20,000 files the result is remembered, in `ofar_tf` below `XDG_CACHE_HOME` or `~/.cache`, with the
    names, sizes and times of the files. Folders in which none of these has changed are not looked at again.

    Args:
        folders: The class folders of all splits.

    Returns:
        How many bits the values in 16-bit PNG files use, 8 to 16; 0 where there are no such files.

    Raises:
        ValueError: A file is cut off, no image, or too large to be decoded; the message names it.
    """
    folders = list(folders)
    memory = _Memory(folders) if sum(len(folder.files) for folder in folders) > _MANY else None
    known = memory.read() if memory else {}
    new = [folder for folder in folders if folder.stamp not in known]
    with ThreadPoolExecutor() as pool:
        depths = {**known, **dict(zip((folder.stamp for folder in new), pool.map(_check_folder, new), strict=True))}
    if memory and new:
        memory.write({folder.stamp: depths[folder.stamp] for folder in folders})
    return max(depths[folder.stamp] for folder in folders)


def _check_folder(folder: ClassFolder) -> int:
    deep = [path for path in (folder.path / name for name in folder.files) if _check_file(path).bits == 16]
    sample = deep[:: max(1, len(deep) // _DEEP_SAMPLE)]
    return max((depth_of(path.read_bytes()) for path in sample), default=0)


def _check_file(path: Path) -> ImageHeader:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = read_header(file)
        file.seek(0)
        start = file.read(8)
        file.seek(max(0, size - 8))
        end = file.read()
    if header is not None and header.too_large:
        raise ValueError(
            "Expected images of at most 178 million pixels (half as many with 16 bits a channel). "
            f"Received: {readable(path)}, of {header.width}x{header.height}."
        )
    whole = any(start.startswith(first) and end.endswith(last) for first, last in _FIRST_AND_LAST_BYTES)
    # A proper start and end tell a whole file; a valid one may carry more after its end, so then decoding decides.
    if header is None or not ((whole and header.usual) or _decodes(path)):
        raise ValueError(f"Expected a readable JPEG or PNG image. Received: {readable(path)} ({size} bytes).")
    return header


def _decodes(path: Path) -> bool:
    try:
        decode_image_file(path.read_bytes())
    except tf.errors.InvalidArgumentError:
        return False
    return True


class _Memory:
    """What was found in the folders of one data set: the depth of each, by its stamp."""

    def __init__(self, folders: Iterable[ClassFolder]):
        # Unlike Path.home, this raises nothing where there is no home.
        root = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111
        paths = sorted(os.fsencode(folder.path.resolve()) for folder in folders)
        self._file = root / "ofar_tf" / f"{hashlib.sha256(b'/'.join(paths)).hexdigest()[:32]}.json"

    def read(self) -> dict[str, int]:
        """Returns what is remembered; nothing where the file is absent or not ours."""
        with suppress(OSError, ValueError, AttributeError):
            depths = json.loads(self._file.read_text(encoding="utf-8"))
            return {stamp: depth for stamp, depth in depths.items() if depth in (0, 8, 10, 12, 14, 16)}
        return {}

    def write(self, depths: Mapping[str, int]) -> None:
        """Remembers it, where there is a place for it."""
        with suppress(OSError):
            atomic_file.write_text(self._file, json.dumps(depths))
