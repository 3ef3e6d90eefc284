"""Image files looked at before anything is trained on them: whole, of a bearable size, how deep and how turned."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from ofar_tf.data.class_folders import ClassFolder
from ofar_tf.data.decoding import decode_any, decode_seen, decode_stored, depth_of
from ofar_tf.data.image_header import ImageHeader, read_header
from ofar_tf.data.orientation import UPRIGHT
from ofar_tf.data.refused_files import require_none
from ofar_tf.data.unread_kinds import unread_kind
from ofar_tf.files import atomic_file
from ofar_tf.files.cache_folder import cache_folder
from ofar_tf.files.file_names import readable

_FIRST_AND_LAST_BYTES = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"))  # JPEG and PNG.
MANY = 20_000
"""Of more images it is remembered what reading all of them tells, which takes minutes at ImageNet's size."""

# As many files of 16 bits are decoded, of each class, to learn how many of the bits are used.
_DEEP_SAMPLE = 8


class Findings(NamedTuple):
    """What must be known to show the images of a folder as a person sees them.

    Attributes:
        bits: How many bits the values in 16-bit PNG files use, 8 to 16; 0 where there are no such files.
        turned: The EXIF orientation of each file that is not upright, 2 to 8.
        unusual: Whether some are of another kind than `ImageHeader.usual`.
    """

    bits: int
    turned: Mapping[str, int]
    unusual: bool

    @property
    def depth(self) -> int:
        """How many bits the values of 16-bit PNGs are taken for, see `decode_seen`."""
        return max(8, self.bits)

    def said_of_bits(self, data_dir: Path) -> tuple[str, ...]:
        """Returns what a user should know of 16-bit files that do not use all bits."""
        if self.bits in (0, 16):
            return ()
        said = f"hold values of at most {self.bits} bits, and are read as such."
        return (f"The 16-bit PNG files in {readable(data_dir)} {said}",)


def check_images(folders: Iterable[ClassFolder]) -> Findings:
    """Opens every file once and reads its header and its end; pixels are decoded only where these leave a doubt.

    Of more than 20,000 files the result is remembered, in `ofar_tf` below `XDG_CACHE_HOME` or `~/.cache`, with the
    names, sizes and times of the files. Folders in which none of these has changed are not looked at again.

    Args:
        folders: The class folders of all splits.

    Returns:
        The findings of all folders, with the whole paths of files.

    Raises:
        ValueError: A file is cut off, no image, or too large to be decoded; the message names it, and says how many
            more there are.
    """
    folders = list(folders)
    memory = _Memory(folders) if sum(len(folder.files) for folder in folders) > MANY else None
    known = memory.read() if memory else {}
    new = [folder for folder in folders if folder.stamp not in known]
    with ThreadPoolExecutor() as pool:
        checked = list(pool.map(_check_folder, new))
    require_none([reason for _, refused in checked for reason in refused])
    known |= {folder.stamp: found for folder, (found, _) in zip(new, checked, strict=True)}
    if memory and new:
        memory.write({folder.stamp: known[folder.stamp] for folder in folders})
    return Findings(
        bits=max(known[folder.stamp].bits for folder in folders),
        turned={f"{folder.path}/{name}": tag for folder in folders for name, tag in known[folder.stamp].turned.items()},
        unusual=any(known[folder.stamp].unusual for folder in folders),
    )


def _check_folder(folder: ClassFolder) -> tuple[Findings, list[ValueError]]:
    tried = {name: try_image(folder.path / name) for name in folder.files}
    refused = [each for each in tried.values() if isinstance(each, ValueError)]
    headers = {name: each for name, each in tried.items() if isinstance(each, ImageHeader)}
    return findings_of(folder.path, headers), refused


def try_image(path: Path) -> ImageHeader | ValueError:
    """Returns what `check_image` does, or what it raises: of many files, how many are no good shall be said."""
    try:
        return check_image(path)
    except ValueError as error:
        return error


def findings_of(folder: Path, headers: Mapping[str, ImageHeader]) -> Findings:
    """Returns what must be known of files whose headers were read.

    Args:
        folder: Where they lie.
        headers: The header of each file, by its name.
    """
    deep = [folder / name for name, header in headers.items() if header.bits == 16]
    sample = deep[:: max(1, len(deep) // _DEEP_SAMPLE)]
    return Findings(
        bits=max((depth_of(path.read_bytes()) for path in sample), default=0),
        turned={name: header.orientation for name, header in headers.items() if header.orientation != UPRIGHT},
        unusual=not all(header.usual for header in headers.values()),
    )


def file_decoder(findings: Findings) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns what reads and decodes a file; images that need no care cost nothing more than their decoding.

    Args:
        findings: What is known of the files, by their whole paths.
    """
    if not findings.bits and not findings.turned:
        decode = decode_any if findings.unusual else decode_stored
        return lambda path: decode(tf.io.read_file(path))
    # A table must not be empty.
    turned = {"": UPRIGHT, **findings.turned}
    entries = tf.lookup.KeyValueTensorInitializer(list(turned), list(turned.values()), tf.string, tf.int32)
    tags = tf.lookup.StaticHashTable(entries, default_value=UPRIGHT)
    return lambda path: decode_seen(tf.io.read_file(path), tag=tags.lookup(path), depth=findings.depth)


def check_image(path: Path) -> ImageHeader:
    """Reads the header of an image file and its end; decodes it where these leave a doubt.

    Args:
        path: The file.

    Raises:
        ValueError: It is cut off, no image, or too large to be decoded; the message names it.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = read_header(file)
        file.seek(0)
        start = file.read(32)
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
        kind = unread_kind(start) if header is None else ""
        said = ", ".join(filter(None, [kind, f"{size} bytes"]))
        raise ValueError(f"Expected a readable image. Received: {readable(path)} ({said}).")
    return header


def _decodes(path: Path) -> bool:
    try:
        decode_any(path.read_bytes())
    except tf.errors.InvalidArgumentError:
        return False
    return True


class _Memory:
    """What was found in the folders of one data set, by their stamps."""

    def __init__(self, folders: Iterable[ClassFolder]):
        paths = sorted(os.fsencode(folder.path.resolve()) for folder in folders)
        self._file = cache_folder() / f"{hashlib.sha256(b'/'.join(paths)).hexdigest()[:32]}.json"

    def read(self) -> dict[str, Findings]:
        """Returns what is remembered; nothing where the file is absent or not ours."""
        with suppress(OSError, ValueError, TypeError, AttributeError):
            stored = json.loads(self._file.read_text(encoding="utf-8"))
            return {stamp: _findings(*found) for stamp, found in stored.items()}
        return {}

    def write(self, findings: Mapping[str, Findings]) -> None:
        """Remembers it, where there is a place for it."""
        with suppress(OSError):
            atomic_file.write_text(self._file, json.dumps(findings))


def _findings(bits: int, turned: Mapping[str, int], unusual: bool) -> Findings:
    right = bits in (0, 8, 10, 12, 14, 16) and all(tag in range(2, 9) for tag in turned.values())
    if not right or not isinstance(unusual, bool):
        raise ValueError("not written by us")
    return Findings(bits, dict(turned), unusual)
