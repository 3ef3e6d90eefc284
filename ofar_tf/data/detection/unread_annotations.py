"""What annotations are that nothing here reads, by how their files begin: said, users need not find it out."""

import re
from itertools import islice
from pathlib import Path

from ofar_tf.data.detection.split_places import visible_files
from ofar_tf.files.file_names import readable

_TABLE = "a table"
# Those of whole sets lie higher than those of single images.
_PLACES = ("", "*/", "*/*/")
_TRIED = 3
_BYTES = 8192
# By suffix; the first that is found in the beginning of a file.
_KINDS = {
    ".json": (
        (rb'"shape_attributes"', "of VGG's annotator"),
        (rb'"shapes"\s*:', "LabelMe's"),
        (rb'"(rectanglelabels|original_width|predictions|drafts)"', "Label Studio's"),
        (rb'"(classTitle|geometryType)"', "Supervisely's"),
        (rb'"dm_format_version"|"items"\s*:', "Datumaro's"),
        (rb'"box2d"', "BDD100K's"),
        (rb'^\s*\[.*"coordinates"\s*:', "CreateML's"),
    ),
    ".xml": ((rb"<annotations>.*<(meta|image)\b", "CVAT's"),),
    ".csv": ((rb"", _TABLE),),
    ".tsv": ((rb"", _TABLE),),
    ".parquet": ((rb"", _TABLE),),
    ".tfrecord": ((rb"", "TFRecords"),),
    ".record": ((rb"", "TFRecords"),),
}


def unread_annotations(data_dir: Path, *, classes: bool) -> str:
    """Returns what lies in a folder that is not read, and what to do with it.

    Args:
        data_dir: The folder, of which nothing is known but that no reader understands it.
        classes: Whether folders of classes were expected, and not boxes.

    Returns:
        Half a sentence; an empty text where there is nothing known.
    """
    for place in _PLACES:
        for suffix in _KINDS:
            for path in islice(visible_files(data_dir, f"{place}*{suffix}*"), _TRIED):
                if kind := unread_kind_of(path):
                    sort = "put the images of each class into a folder of its own"
                    have = sort if classes and kind == _TABLE else "export or convert it to COCO's JSON"
                    return f"{readable(path)} is {kind}, which is not read: {have}"
    return ""


def unread_kind_of(path: Path) -> str:
    """Returns what a file of annotations is, `LabelMe's` for instance; an empty text where it is none of the known.

    Args:
        path: The file; one that cannot be read is none of them.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_BYTES)
    except OSError:
        return ""
    # Parts of a set have numbers behind: `train.tfrecord-00000-of-00010`.
    kinds = next((kinds for suffix, kinds in _KINDS.items() if path.suffix.startswith(suffix)), ())
    return next((kind for form, kind in kinds if re.search(form, start, re.DOTALL)), "")
