"""A folder of JPEG and PNG files, one sub-folder for each class."""

import hashlib
from pathlib import Path

import tensorflow as tf

from ofar_tf.data.image_dataset import ImageDataset, decode_image_file

_SUFFIXES = (".jpg", ".jpeg", ".png")
_LAYOUTS = "data_dir/<split>/<class>/*.jpg or data_dir/<class>/*.jpg (.jpeg and .png as well)"
_FIRST_AND_LAST_BYTES = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"))  # JPEG and PNG.


def image_folder(data_dir: Path) -> ImageDataset:
    """Returns the images of a folder as a data set.

    Every file is opened once, so that one that was cut off, or is no image, is found now and not in the middle of a
    training run. Only its two ends are read: damage between them comes to light when the image is used, see `damage`.

    The order within a split depends on the files' names only. It is scattered within each class (file names often come
    in series), and every prefix holds each class in proportion, to about one image: `all[:80%]` and `all[80%:]` can be
    trained on and evaluated with.

    Args:
        data_dir: Holds a folder for each class, and then the only split is `all`; or a folder for each split, all of
            them with the same folders for classes. Hidden files and folders are ignored.

    Returns:
        The data set; class names are the folders' names, sorted.

    Raises:
        FileNotFoundError: The folder does not exist or holds no images in that layout.
        ValueError: A class folder holds something that is not a readable JPEG or PNG file, there is only one class, or
            splits differ in their classes.
    """
    folders = _folders_of_splits(data_dir)
    class_names = _common_class_names(folders)
    files = {split: _files_in_order(folder, class_names) for split, folder in folders.items()}
    for split, paths in files.items():
        if not paths:
            raise FileNotFoundError(f"Expected images as {_LAYOUTS}. Received: no image in {folders[split]}.")

    def read(split: str, start: int, stop: int) -> tf.data.Dataset:
        chosen = files[split][start:stop]
        labels = tf.constant([class_names.index(path.parent.name) for path in chosen], tf.int64)
        return tf.data.Dataset.from_tensor_slices(([str(path) for path in chosen], labels))

    def names(split: str, start: int, stop: int) -> tf.data.Dataset:
        return read(split, start, stop).map(lambda path, label: path)

    return ImageDataset(
        name="image_folder",
        class_names=class_names,
        split_sizes={split: len(paths) for split, paths in files.items()},
        read=read,
        decode=lambda path: decode_image_file(tf.io.read_file(path)),
        names=names,
    )


def _folders_of_splits(data_dir: Path) -> dict[str, Path]:
    if not data_dir.is_dir():
        raise FileNotFoundError(
            f"Expected a folder with images as {_LAYOUTS}. Received: data_dir={data_dir} (not a folder)."
        )
    folders = [entry for entry in _visible(data_dir) if entry.is_dir()]
    if any(entry.suffix.lower() in _SUFFIXES for folder in folders for entry in _visible(folder)):
        return {"all": data_dir}
    splits = {folder.name: folder for folder in folders if any(entry.is_dir() for entry in _visible(folder))}
    if not splits:
        raise FileNotFoundError(f"Expected images as {_LAYOUTS}. Received: data_dir={data_dir} (no images there).")
    return splits


def _common_class_names(folders: dict[str, Path]) -> tuple[str, ...]:
    names = {
        split: tuple(entry.name for entry in _visible(folder) if entry.is_dir()) for split, folder in folders.items()
    }
    (first_split, first), *others = names.items()
    for split, classes in others:
        if classes != first:
            difference = ", ".join(sorted(set(classes) ^ set(first)))
            raise ValueError(
                f"Expected the same class folders in every split. Received: {difference} only in one of "
                f"{folders[first_split]} and {folders[split]}."
            )
    return first


def _files_in_order(folder: Path, class_names: tuple[str, ...]) -> list[Path]:
    places = []
    for label, name in enumerate(class_names):
        paths = sorted(_visible(folder / name), key=lambda path: hashlib.sha256(path.name.encode()).digest())
        for index, path in enumerate(paths):
            _check_image_file(path)
            places.append(((index + 0.5) / len(paths), label, path))
    return [path for _, _, path in sorted(places)]


def _check_image_file(path: Path) -> None:
    if path.is_dir() or path.suffix.lower() not in _SUFFIXES:
        raise ValueError(f"Expected only .jpg, .jpeg and .png files in the folder of a class. Received: {path}.")
    # A proper start and end tell a whole file; a valid one may carry more after its end, so then decoding decides.
    if not (_looks_whole(path) or _decodes(path)):
        raise ValueError(f"Expected a readable JPEG or PNG image. Received: {path} ({path.stat().st_size} bytes).")


def _looks_whole(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(max(0, path.stat().st_size - 8))
        end = file.read()
    return any(start.startswith(first) and end.endswith(last) for first, last in _FIRST_AND_LAST_BYTES)


def _decodes(path: Path) -> bool:
    try:
        decode_image_file(path.read_bytes())
    except tf.errors.InvalidArgumentError:
        return False
    return True


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
