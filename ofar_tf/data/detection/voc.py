"""Folders of images with annotations in Pascal VOC's XML."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from ofar_tf.data.class_folders import WHOLE
from ofar_tf.data.class_names import check_class_names
from ofar_tf.data.detection.box_readings import CORNERS
from ofar_tf.data.detection.dataset import DetectionDataset
from ofar_tf.data.detection.folder import annotated_folder
from ofar_tf.data.detection.found_boxes import FoundImage, bare, gathered, images_in
from ofar_tf.data.detection.found_split import FoundSplit
from ofar_tf.data.detection.split_places import (
    by_split,
    called,
    folders_in,
    require_folder,
    tails,
    visible_files,
    visible_names,
)
from ofar_tf.data.folder_listing import SUFFIXES
from ofar_tf.data.split_names import LISTS, is_split, split_named, splits_of
from ofar_tf.files.file_names import readable
from ofar_tf.files.text_file import read_lines

LAYOUTS = (
    "data_dir/Annotations/*.xml with data_dir/JPEGImages (and lists in data_dir/ImageSets/Main/<split>.txt), "
    "data_dir/*.xml beside the images, or either of these in data_dir/<split>"
)
# In any case of letters.
_ANNOTATIONS = ("annotations", "annotation", "labels", "xml")
_IMAGES = ("jpegimages", "images", "image", "data")
# Where there is no list of either part; the name of the split stays that of all training images.
_BOTH, _PARTS_OF_BOTH = "trainval", ("train", "val", "validation")


class Part(NamedTuple):
    """The XML files of a split, by their names without suffix, the folder of its images, and these by theirs."""

    source: Path
    files: dict[str, Path]
    root: Path
    images: dict[str, str]


def voc_folder(data_dir: Path, *, split_seed: int = 0) -> DetectionDataset:
    """Returns the images of a folder with boxes from files in Pascal VOC's format, one for each image.

    The images are those with an XML file; one without any `object` shows nothing. What is `difficult` need not be
    found, as in VOC's own figures. Corners count pixels from 1 on, the last included, as VOC's do; where one is at 0,
    which VOC has not, all are distances from the image's edges. Classes are the names that occur, sorted.

    Args:
        data_dir: The folder. Splits are the lists `train`, `val` and `test` in `ImageSets/Main`, or folders; without
            either, `train` is 80 % of `all` and `validation` the rest. A list `trainval` is `train` where neither part
            has a list of its own.
            A single folder that is not called like a split, `VOC2012` for instance, is the one that is meant.
        split_seed: Another seed gives the images another order, and so other parts.

    Raises:
        FileNotFoundError: The folder, its annotations or images that these name do not exist.
        ValueError: A file is damaged.
    """
    parts = parts_of(data_dir)
    read = {split: [(stem, _read(path)) for stem, path in part.files.items()] for split, part in parts.items()}
    kinds = {kind for said in read.values() for _, image in said for kind in image.classes}
    names = check_class_names(sorted(kinds), where=readable(data_dir), least=1)
    labels = {name: label for label, name in enumerate(names)}
    first = _first_pixel(image for images in read.values() for _, image in images)
    found = {
        split: gathered(
            [(_image_of(part, stem, image.file_name), _counted_from(first, image)) for stem, image in read[split]],
            source=part.source,
            root=part.root,
            label_of=labels.__getitem__,
            read_as=CORNERS,
        )
        for split, part in parts.items()
    }
    notes = _notes(parts, found)
    return annotated_folder(
        "voc_folder", found, class_names=names, data_dir=data_dir, split_seed=split_seed, notes=notes
    )


def parts_of(data_dir: Path) -> dict[str, Part]:
    """Finds the XML files and the images of each split; nothing is read.

    Args:
        data_dir: See `voc_folder`.

    Raises:
        FileNotFoundError: There is no such file, or a list names some that are not there.
        ValueError: Two places are of one split.
    """
    require_folder(data_dir, layouts=LAYOUTS)
    whole = _part(data_dir)
    if whole is not None:
        return by_split(_listed(data_dir, whole), what="list") or _by_folder(whole)
    found = {folder: part for folder in folders_in(data_dir) if (part := _part(folder))}
    if len(found) == 1 and not is_split(next(iter(found)).name):
        return parts_of(next(iter(found)))
    splits = splits_of([folder.name for folder in found])
    parts = by_split(((splits[folder.name], folder, part) for folder, part in found.items()), what="folder")
    if not parts:
        raise FileNotFoundError(f"Expected {LAYOUTS}. Received: data_dir={readable(data_dir)} (no XML file there).")
    return parts


def _part(folder: Path) -> Part | None:
    named = [place for name in _ANNOTATIONS if (place := called(folder, name)).is_dir()]
    found = ((place, _xml_files(place, below=place != folder)) for place in [*named, folder])
    source, files = next(((source, files) for source, files in found if files), (folder, {}))
    if not files:
        return None
    places = [(called(folder, name), True) for name in _IMAGES] + [(folder, False)]
    roots = ((root, images) for root, below in places if (images := images_in(root, below=below)))
    return Part(source, files, *next(roots, (source, {})))


def _xml_files(folder: Path, *, below: bool) -> dict[str, Path]:
    names = visible_names(folder, "**/*" if below else "*")
    return {bare(name): folder / name for name in names if name.lower().endswith(".xml")}


def _by_folder(whole: Part) -> dict[str, Part]:
    """Returns the splits that the folders of XML files stand for, where all of these lie in such; or else the whole."""
    within = {stem: stem.split("/")[0] for stem in whole.files if "/" in stem}
    if len(within) < len(whole.files) or not all(map(is_split, set(within.values()))):
        return {WHOLE: whole}
    parts = {
        folder: whole._replace(files={stem: whole.files[stem] for stem in within if within[stem] == folder})
        for folder in dict.fromkeys(within.values())
    }
    return by_split(
        ((split_named(folder), whole.source / folder, part) for folder, part in parts.items()), what="folder"
    )


def _listed(data_dir: Path, whole: Part) -> Iterator[tuple[str, Path, Part]]:
    """Yields the splits that lists in ImageSets/Main name, and the lists."""
    lists = data_dir / "ImageSets" / "Main"
    named = [(split_named(path.stem), path) for path in visible_files(lists, "*.txt")]
    found = [(split, path) for split, path in named if split in LISTS]
    if not any(split in _PARTS_OF_BOTH for split, _ in found):
        found += [("train", path) for split, path in named if split == _BOTH]
    for split, path in found:
        stems = [_stem(line, whole.files) for line in read_lines(path)]
        missing = [stem for stem in stems if stem not in whole.files]
        if missing:
            raise FileNotFoundError(
                f"Expected an XML file in {readable(whole.source)} for each name in {readable(path)}. "
                f"Received: {len(missing)} of {len(stems)} without one, such as {missing[:1]!r:.80}."
            )
        if stems:
            yield split, path, whole._replace(source=path, files={stem: whole.files[stem] for stem in stems})


def _stem(line: str, files: Mapping[str, Path]) -> str:
    """Returns the name in a line of a list; behind it may stand the image's suffix, or whether a class is shown."""
    # Some tools put names with blanks into quotes.
    names = [each for name in (line, line.rsplit(maxsplit=1)[0]) for each in (name, name.strip('"'))]
    ways = (unicodedata.normalize("NFC", each) for name in names for each in (name, bare(name), Path(name).stem))
    return next((each for each in ways if each in files), line)


def _notes(parts: Mapping[str, Part], found: Mapping[str, FoundSplit]) -> list[str]:
    """Counts the images that nobody annotated; of lists, which name some of all, there is nothing to say."""
    idle = {part.root: set(part.images.values()) for part in parts.values() if part.source.is_dir()}
    for split, part in parts.items():
        idle.get(part.root, set()).difference_update(found[split].files)
    return [
        f"{len(names)} images in {readable(root)} have no XML file and are not used."
        for root, names in idle.items()
        if names
    ]


def _image_of(part: Part, stem: str, said: str) -> str:
    """Returns the image that is called like its XML file, or as this says, or a usual name, which will be missed."""
    names = [part.images[tail] for tail in tails(stem) if tail in part.images]
    names += [tail for tail in tails(said) if (part.root / tail).is_file()]
    return names[0] if names else f"{stem}{SUFFIXES[0]}"


def _read(path: Path) -> FoundImage:
    try:
        root = ElementTree.parse(path).getroot()
        objects = root.findall("object")
        if root.tag.lower() != "annotation" and not objects:
            raise ValueError(f"an element {root.tag!r:.80} with no object")
        return FoundImage(
            size=(_side(root, "height"), _side(root, "width")),
            boxes=[_box(each) for each in objects],
            classes=[_text(each, "name") for each in objects],
            crowd=[each.findtext("difficult", "0").strip() == "1" for each in objects],
            file_name=(root.findtext("filename") or "").strip(),
        )
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Expected annotations in VOC's XML in {readable(path)}. Received: {reason:.200}.") from error


def _first_pixel(images: Iterable[FoundImage]) -> int:
    """Returns what the first pixel's number is: many programs that are not VOC's count from 0."""
    return 0 if any(0 <= edge < 1 for image in images for box in image.boxes for edge in box[:2]) else 1


def _counted_from(first: int, image: FoundImage) -> FoundImage:
    """Returns an image whose boxes are between edges, not pixels."""
    boxes = [(top - first, left - first, bottom, right) for top, left, bottom, right in image.boxes]
    return image._replace(boxes=boxes)


def _side(root: ElementTree.Element, name: str) -> int:
    # Some tools write no size, or zeros.
    side = round(float(root.findtext(f"size/{name}") or 0))
    if not 0 <= side < 2**31:
        raise ValueError(f"{name} {side}")
    return side


def _box(element: ElementTree.Element) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(_text(element, f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax"))
    return top, left, bottom, right


def _text(element: ElementTree.Element, name: str) -> str:
    text = (element.findtext(name) or "").strip()
    if not text:
        raise ValueError(f"an object without {name}")
    return text
