"""What lies where in a folder with YOLO's text files."""

from collections.abc import Iterator, Mapping, Sequence
from os.path import commonpath
from pathlib import Path
from typing import NamedTuple

from ofar_tf.data.class_folders import WHOLE
from ofar_tf.data.detection.found_boxes import bare, images_in
from ofar_tf.data.detection.split_places import (
    by_split,
    called,
    folders_in,
    nested,
    tails,
    visible_files,
    visible_names,
)
from ofar_tf.data.detection.yolo_description import Description
from ofar_tf.data.folder_listing import SUFFIXES
from ofar_tf.data.split_names import LISTS, is_split, split_named, split_within, splits_of
from ofar_tf.files.file_names import readable
from ofar_tf.files.text_file import read_lines

LAYOUTS = (
    "data_dir/images/<split> with data_dir/labels/<split>, data_dir/<split>/images with data_dir/<split>/labels, or "
    "the same without splits or with the text files beside the images; and data.yaml or classes.txt with the names"
)
_NAME_LISTS = ("classes.txt", "labels.txt")
_OTHER_NAME_LISTS = ("*.names", "_darknet.labels")


class Part(NamedTuple):
    """A split.

    Attributes:
        root: The folder of the images.
        labels: The folder of their text files.
        images: The images of the split, by their names without suffix.
        known: The same of all images in the folder, of which a list names some.
        files: The text files in the folder, by their names without suffix, as those of the images.
    """

    root: Path
    labels: Path
    images: dict[str, str]
    known: dict[str, str]
    files: dict[str, Path]


def parts_of(data_dir: Path, said: Description) -> dict[str, Part]:
    """Returns the parts of the first layout that fits, by split.

    Args:
        data_dir: The folder.
        said: What `data.yaml` says. A folder that is called otherwise than splits are is the split that it gives it to,
            and folders that it gives to one split are that split together.

    Raises:
        FileNotFoundError: If none fits, or a list names images that are not there.
        ValueError: If two places are of one split.
    """
    listed = bool(_usual_lists(data_dir)) or any(paths for _, paths in _lists_named(data_dir, said))
    for layout in _layouts(data_dir, listed=listed):
        held = {name: part for name, places in layout.items() if (part := _part(*places)).images}
        if not any(part.files for part in held.values()):
            continue
        held = _joined(said, held)
        splits = {**splits_of(held), **{place: split for split, place in _folders_named(said, held)}}
        parts = by_split(((splits[name], part.root, part) for name, part in held.items()), what="folder")
        if len(parts) > 1 or is_split(next(iter(parts))):
            return parts
        whole = next(iter(parts.values()))
        return by_split(_listed(data_dir, said, whole), what="list") or {WHOLE: whole}
    raise FileNotFoundError(f"Expected {LAYOUTS}. Received: data_dir={readable(data_dir)} (no images with text files).")


def class_names(data_dir: Path, said: Description, parts: Mapping[str, Part]) -> list[str]:
    """Returns the names of the classes: those of `data.yaml`, or of a list beside it or the text files.

    Args:
        data_dir: The folder.
        said: What `data.yaml` says.
        parts: What `parts_of` returned.

    Raises:
        FileNotFoundError: If nothing says them.
        ValueError: If two lists say different ones.
    """
    if said.names is not None:
        return said.names
    around = [place for folder in nested(data_dir) for place in (folder, called(folder, "labels"))]
    folders = dict.fromkeys([*around, *(part.labels for part in parts.values())])
    paths = [path for folder in folders for name in _NAME_LISTS if (path := folder / name).is_file()]
    paths += [path for folder in folders for pattern in _OTHER_NAME_LISTS for path in visible_files(folder, pattern)]
    lists = [read_lines(path) for path in paths]
    if not lists:
        raise FileNotFoundError(f"Expected {LAYOUTS}. Received: data_dir={readable(data_dir)} (no names of classes).")
    other = next((path for path, names in zip(paths, lists, strict=True) if names != lists[0]), None)
    if other is not None:
        raise ValueError(
            f"Expected the same names of classes in every list. Received: others in {readable(other)} than in "
            f"{readable(paths[0])}."
        )
    return lists[0]


def _layouts(data_dir: Path, *, listed: bool) -> Iterator[dict[str, tuple[Path, Path]]]:
    """Yields for each layout the folders of images and of their text files, by the names that may say a split.

    Args:
        data_dir: The folder.
        listed: Whether lists say splits, so that folders of other names are none.
    """
    images, labels = called(data_dir, "images"), called(data_dir, "labels")
    apart = {each.name: (each, _beside(labels, each.name)) for each in folders_in(images)}
    if not listed or any(map(split_within, apart)):
        yield apart
    yield {WHOLE: (images, labels)}
    yield {each.name: (each, each) for each in folders_in(images)}
    folders = folders_in(data_dir)
    if len(folders) == 1 and not is_split(folders[0].name):
        yield from _layouts(folders[0], listed=listed)
    yield {each.name: (called(each, "images"), called(each, "labels")) for each in folders}
    yield {each.name: (each, each) for each in folders}
    yield {WHOLE: (data_dir, data_dir)}


def _beside(labels: Path, name: str) -> Path:
    """Returns the folder of text files for one of images: called like it, or like the same split (`Val` for `val`)."""
    same = [each for each in folders_in(labels) if split_named(each.name) == split_named(name)]
    return labels / name if labels / name in same or not same else same[0]


def _part(images: Path, labels: Path) -> Part:
    apart = images != labels
    found = images_in(images, below=apart)
    # Without images the layout is another one, and its files need not be listed.
    names = visible_names(labels, "**/*" if apart else "*") if found else []
    texts = [name for name in names if name.lower().endswith(".txt")]
    files = {bare(name): labels / name for name in texts if Path(name).name not in _NAME_LISTS or bare(name) in found}
    return Part(images, labels, found, found, files)


def _joined(said: Description, held: Mapping[str, Part]) -> dict[str, Part]:
    """Makes one part of the folders that `data.yaml` gives to a split, where it gives it several, and all are there."""
    joined = dict(held)
    for split, places in said.places.items():
        names = list(dict.fromkeys(name for place in places for name in _held_in(place, held)))
        if len(names) > 1 and len(names) == len(places) and all(name in joined for name in names):
            joined |= {split: _together([joined.pop(name) for name in names])}
    return joined


def _together(parts: Sequence[Part]) -> Part:
    """Returns one part with the images of several, called by their folders too."""
    root, labels = (Path(commonpath(each)) for each in ([p.root for p in parts], [p.labels for p in parts]))
    images: dict[str, str] = {}
    files: dict[str, Path] = {}
    for part in parts:
        inner = part.root.relative_to(root)
        images |= {(inner / stem).as_posix(): (inner / name).as_posix() for stem, name in part.images.items()}
        files |= {(inner / stem).as_posix(): path for stem, path in part.files.items()}
    return Part(root, labels, images, images, files)


def _held_in(place: str, held: Mapping[str, Part]) -> list[str]:
    """Returns the last of the folders in a path that is one of those that are there, if any is."""
    return [name for name in reversed(place.split("/")) if name in held][:1]


def _folders_named(said: Description, held: Mapping[str, Part]) -> Iterator[tuple[str, str]]:
    """Yields splits that `data.yaml` gives one folder, and these folders, where their own names say no split."""
    for split, places in said.places.items():
        names = [name for place in places for name in _held_in(place, held)]
        if len(places) == 1 and names and not is_split(names[0]):
            yield split_named(split), names[0]


def _listed(data_dir: Path, said: Description, whole: Part) -> Iterator[tuple[str, Path, Part]]:
    """Yields the splits that lists of images name, and the lists; none where a single one names all images."""
    named = {split: paths for split, paths in _lists_named(data_dir, said) if paths}
    alone = _usual_lists(data_dir).items() - {(path, split) for split, paths in named.items() for path in paths}
    lists = [*named.items(), *((split, [path]) for path, split in sorted(alone))]
    # Beside images, `test.txt` holds the boxes of `test.png`.
    lists = [
        (split, paths) for split, paths in lists if paths[0].parent != whole.root or paths[0].stem not in whole.images
    ]
    for split, paths in lists:
        images = {stem: name for path in paths for stem, name in _images_in_list(path, whole).items()}
        if images and (len(lists) > 1 or len(images) < len(whole.images)):
            yield split, paths[0], whole._replace(images=images)


def _images_in_list(path: Path, whole: Part) -> dict[str, str]:
    lines = read_lines(path)
    stems = [next((stem for tail in tails(line) if (stem := bare(tail)) in whole.images), None) for line in lines]
    if None in stems:
        raise FileNotFoundError(
            f"Expected an image in {readable(whole.root)} for each line of {readable(path)}. "
            f"Received: {stems.count(None)} of {len(stems)} without one, such as {lines[stems.index(None)]!r:.80}."
        )
    return {stem: whole.images[stem] for stem in dict.fromkeys(stems) if stem}


def _usual_lists(data_dir: Path) -> dict[Path, str]:
    """Returns the lists that are called like splits, with these; else those of images with such a word in the name."""
    texts = [path for folder in nested(data_dir) for path in visible_files(folder, "*.txt")]
    usual = {path: split for path in texts if (split := split_named(path.stem)) in LISTS}
    others = {path: split_within(path.stem) or "" for path in texts}
    return usual or {path: split for path, split in others.items() if split in LISTS and _begins_with_an_image(path)}


def _begins_with_an_image(path: Path) -> bool:
    with path.open("rb") as file:
        name = file.readline(1000).decode("latin-1")
    return Path(name.strip()).suffix.lower() in SUFFIXES


def _lists_named(data_dir: Path, said: Description) -> Iterator[tuple[str, list[Path]]]:
    """Yields the splits that `data.yaml` gives lists, and these lists."""
    folders = nested(data_dir)
    for split, places in said.places.items():
        tried = [[folder / tail for tail in tails(place) for folder in folders] for place in places if _is_list(place)]
        found = [next((path for path in paths if path.is_file()), None) for paths in tried]
        yield split_named(split), [path for path in found if path]


def _is_list(place: str) -> bool:
    return place.endswith(".txt")
