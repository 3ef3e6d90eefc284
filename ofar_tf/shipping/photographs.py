"""Photographs of unknown origin, looked at before they are opened and decoded."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from ofar_tf.data.decoding import decode_image_file
from ofar_tf.data.folder_listing import SUFFIXES
from ofar_tf.data.image_header import read_header
from ofar_tf.data.preprocessing import evaluation_view
from ofar_tf.data.unread_kinds import unread_kind


def find_images(path: Path) -> list[Path]:
    """Lists the images of a folder and the folders in it, or the one image.

    Links are followed to files, not to folders. Nothing is opened.

    Args:
        path: An image or a folder.

    Raises:
        FileNotFoundError: If there is nothing, or no image.
        ValueError: If it is neither an image nor a folder.
    """
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"Expected an image or a folder. Received: {path}, which does not exist.")
        _require_regular(path)
        return [path]
    images = sorted(_images_below(path))
    if not images:
        raise FileNotFoundError(f"Expected images ({', '.join(SUFFIXES)}) in {path}. Received: none.")
    return images


def picture_paths(images: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Names a picture for each image, no two alike: in the same folders below `folder` as images have.

    Args:
        images: Their files.
        folder: Where pictures go.

    Returns:
        By the image, `NAME_found.png`; with the image's suffix where another differs from it in this only.
    """
    places = [Path(os.path.abspath(image)) for image in images]  # noqa: PTH100, links stay as they are.
    root = os.path.commonpath([place.parent for place in places]) if places else ""
    alike = Counter(place.with_suffix("") for place in places)
    names = (place.name if alike[place.with_suffix("")] > 1 else place.stem for place in places)
    return {
        image: folder / place.parent.relative_to(root) / f"{name}_found.png"
        for image, place, name in zip(images, places, names, strict=True)
    }


def read_image(path: Path, *, resolution: int, depth: int = 8) -> np.ndarray:
    """Reads the whole central square of an image, as apps do; its size is looked up before it is decoded.

    Networks are measured on the same square only where `--eval_resize` is their resolution.

    Args:
        path: A file.
        resolution: Side r of the square, in pixels.
        depth: See `read_pixels`.

    Returns:
        float32 `[r, r, 3]` in 0..255.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no image, or too large.
    """
    return np.asarray(evaluation_view(read_pixels(path, depth=depth), resolution=resolution))


def read_pixels(path: Path, *, depth: int = 8) -> tf.Tensor:
    """Reads an image as a person sees it; its size is looked up before it is decoded.

    Args:
        path: A file.
        depth: How many bits at least the values of a 16-bit PNG are taken for, those of the network's training images.

    Returns:
        uint8 `[h, w, 3]`.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no image, or too large.
    """
    _require_regular(path)
    with path.open("rb") as file:
        header = read_header(file)
        file.seek(0)
        start = file.read(32)
    if header is None:
        kind = unread_kind(start)
        said = f", {kind}" if kind else ""
        raise ValueError(f"Expected a JPEG, PNG, GIF, BMP or WebP image. Received: {path}{said}.")
    if header.too_large:
        raise ValueError(
            f"Expected images of at most 178 million pixels. Received: {path}, of {header.width}x{header.height}."
        )
    try:
        return decode_image_file(tf.constant(path.read_bytes()), depth=depth)
    except tf.errors.InvalidArgumentError as error:
        reason = str(error.message).partition("[Op:")[0].partition("{{")[2].partition("}} ")[2]
        raise ValueError(f"Expected a readable image. Received: {path} ({reason.strip(' .') or 'damaged'}).") from error


def _images_below(path: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(path):
        inner[:] = [name for name in inner if not name.startswith(".")]
        for name in names:
            image = Path(folder) / name
            # Neither FIFOs nor devices: opening one may never end.
            if name.lower().endswith(SUFFIXES) and not name.startswith(".") and image.is_file():
                yield image


def _require_regular(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"Expected an image file. Received: {path}, which is none.")
