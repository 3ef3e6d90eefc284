"""What a TFLite file says about itself: its name, its licence, how images go in and what its outputs mean."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ofar_tf.text.size import Size
from ofar_tf.tflite import metadata_tables as tables
from ofar_tf.tflite.detector_metadata import LABELS_FILE, DetectorMetadata
from ofar_tf.tflite.flatbuffer_file import read_model, write_model

_BUFFER = "TFLITE_METADATA"
# Beside those tables, whose readers look for what they know by its name.
_CANVAS, _DEPTH = "OFAR_CANVAS", "OFAR_DEPTH"
_MOST_LABELS = 10_000_000  # Bytes.
_TEXTS = ("name", "description", "version", "author", "license")


@dataclass(frozen=True, kw_only=True)
class Credits:
    """What the makers of a family of files say about all of them.

    Attributes:
        description: What the networks recognize; may be empty.
        version: Their version of the files.
        license: The terms under which others may use the files.
        author: Who made them; may be empty.
    """

    description: str = ""
    version: str = "1"
    license: str = "Not stated"
    author: str = ""


@dataclass(frozen=True, kw_only=True)
class FileMetadata(Credits):
    """What one file says about itself.

    Attributes:
        name: The file's name for people, for instance its id.
        labels: The K class names, in the order of the outputs; none for networks without classes.
        detector: What a detector's file says of its boxes; None for other networks.
        depth: How many bits the values of 16-bit images were taken for in training, 8 to 16.
    """

    name: str
    labels: tuple[str, ...]
    detector: DetectorMetadata | None = None
    depth: int = 8

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError(f"Expected a name. Received: name={self.name!r}.")
        if any(not label.strip() or len(label.splitlines()) != 1 for label in self.labels):
            raise ValueError(f"Expected class names of one line each. Received: {list(self.labels)!r:.200}.")
        if not 8 <= self.depth <= 16:
            raise ValueError(f"Expected values of 8 to 16 bits. Received: depth={self.depth}.")


def with_metadata(content: bytes, metadata: FileMetadata) -> bytes:
    """Adds metadata and `labels.txt` to a TFLite file.

    MediaPipe and Android's libraries read them. The labels are a zip archive behind the model, so whatever changes the
    model must be done before. A file that has metadata gets the new ones in their place.

    Args:
        content: The whole file: one image input of static shape [1, r, r, 3], float32 (then it is told that pixels of
            0..255 go in as they are, by a normalization of mean 0 and standard deviation 1) or uint8, and one output of
            K scores; without labels, any outputs.
        metadata: What to say.

    Returns:
        The whole file with metadata; it computes what it did.

    Raises:
        ValueError: If the file has several inputs or outputs, or its classes are not as many as the labels.
    """
    model = read_model(content)
    if metadata.detector:
        subgraphs = [_detector_tables(model, metadata, metadata.detector)]
    else:
        subgraphs = [_subgraph_tables(subgraph, metadata) for subgraph in model.subgraphs[:1]]
    texts = {name: getattr(metadata, name) for name in _TEXTS if getattr(metadata, name)}
    _put(
        model,
        tables.encode_metadata({**texts, "subgraphs": subgraphs, "min_parser_version": tables.MIN_PARSER_VERSION}),
    )
    if metadata.detector and (canvas := metadata.detector.canvas):
        _put(model, f"{canvas.height}x{canvas.width}".encode(), name=_CANVAS)
    if metadata.depth > 8:
        _put(model, str(metadata.depth).encode(), name=_DEPTH)
    content = write_model(model)
    return _with_labels(content, metadata.labels) if metadata.labels else content


def read_metadata(path: str | Path) -> FileMetadata:
    """Reads what a TFLite file says about itself.

    Args:
        path: The file.

    Returns:
        Its metadata, the labels of its first output included.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no metadata or no labels.
    """
    content = Path(path).read_bytes()
    try:
        model = read_model(content)
        fields = read_tables(model)
        files = [output["files"] for output in fields["subgraphs"][0]["outputs"] if "files" in output]
        label_file = files[0][0]["name"]
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.getinfo(label_file).file_size > _MOST_LABELS:
                raise ValueError(f"Expected labels of at most {_MOST_LABELS:,} bytes in {path}. Received: more.")
            labels = archive.read(label_file).decode().splitlines()
        depth = _training_images(model).depth
    except Exception as error:  # A flipped byte can make the readers of tables and archives raise almost anything.
        if str(error).startswith("Expected"):
            raise
        raise ValueError(f"Expected a file with labels for its output. Received: {path}, without.") from error
    texts = {name: fields.get(name, "") for name in _TEXTS}
    return FileMetadata(**texts, labels=tuple(labels), depth=depth)


def read_tables(model: schema.ModelT) -> dict[str, Any]:
    """Reads the metadata tables of a TFLite file.

    Args:
        model: The file, as `read_model` reads it.

    Returns:
        The fields as `metadata_tables` names them: model, then `subgraphs`, then `inputs` and `outputs`.

    Raises:
        ValueError: If the file holds no metadata.
    """
    entry = _entry(model)
    if entry is None:
        raise ValueError("Expected a TFLite file with metadata. Received: a file without.")
    return tables.decode_metadata(_content(model, entry))


class TrainingImages(NamedTuple):
    """What a file says of the images that its network was trained on.

    Attributes:
        canvas: The size of what a detector's images are put on, before it is resized to what the file sees; None for a
            file that does not say, whose own it is.
        depth: How many bits the values of 16-bit images were taken for; 8 for a file that does not say.
    """

    canvas: Size | None
    depth: int


def read_training_images(path: str | Path) -> TrainingImages:
    """Reads what a TFLite file says of the images that its network was trained on.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no TFLite file, or says something else.
    """
    content = Path(path).read_bytes()
    try:
        return _training_images(read_model(content))
    except Exception as error:  # As in `read_metadata`.
        reason = " ".join(str(error).split())
        raise ValueError(f"Expected an exported file. Received: {path} ({reason:.200}).") from error


def _training_images(model: schema.ModelT) -> TrainingImages:
    said = {name: _content(model, entry).decode() for name in (_CANVAS, _DEPTH) if (entry := _entry(model, name=name))}
    depth = said.get(_DEPTH, "8")
    if depth not in map(str, range(8, 17)):
        raise ValueError(f"Expected images of 8 to 16 bits. Received: {depth!r:.20}.")
    return TrainingImages(Size.parse(said[_CANVAS]) if _CANVAS in said else None, int(depth))


def _content(model: schema.ModelT, entry: schema.MetadataT) -> bytes:
    return bytes(model.buffers[entry.buffer].data)


def _entry(model: schema.ModelT, *, name: str = _BUFFER) -> schema.MetadataT | None:
    return next((entry for entry in model.metadata or [] if entry.name == name.encode()), None)


def _put(model: schema.ModelT, content: bytes, *, name: str = _BUFFER) -> None:
    entry = _entry(model, name=name)
    if entry is None:
        entry = schema.MetadataT(name=name, buffer=len(model.buffers))
        model.metadata = [*(model.metadata or []), entry]
        model.buffers.append(schema.BufferT())
    model.buffers[entry.buffer].data = np.frombuffer(content, np.uint8)


def _detector_tables(model: schema.ModelT, metadata: FileMetadata, detector: DetectorMetadata) -> dict[str, Any]:
    subgraph = model.subgraphs[0]
    names = {end.tensorIndex: end.name.decode() for end in model.signatureDefs[0].outputs}
    # MediaPipe knows detections by their places; other programs know outputs by the names of the signature.
    places = {name: place for place, name in enumerate(("boxes", "classes", "scores", "count"))}
    subgraph.outputs = sorted(subgraph.outputs, key=lambda index: places.get(names[index], len(places)))
    image = subgraph.tensors[subgraph.inputs[0]]
    _, height, width, _ = map(int, image.shape)
    custom = detector.custom_tables(height=height, width=width, classes=len(metadata.labels))
    seen = _image_tables(image)
    if (canvas := detector.canvas) and canvas != Size(height, width):
        seen["description"] += f" It is made on a canvas of {canvas.width}x{canvas.height} pixels, which is resized."
    return {
        "inputs": [seen],
        "outputs": detector.output_tables([names[index] for index in subgraph.outputs]),
        **({"custom": custom} if custom else {}),
    }


def _subgraph_tables(subgraph: schema.SubGraphT, metadata: FileMetadata) -> dict[str, Any]:
    if not metadata.labels and len(subgraph.inputs) == 1:
        return {
            "inputs": [_image_tables(subgraph.tensors[subgraph.inputs[0]])],
            "outputs": [{} for _ in subgraph.outputs],
        }
    if len(subgraph.inputs) != 1 or len(subgraph.outputs) != 1:
        raise ValueError(
            f"Expected one input and one output. Received: {len(subgraph.inputs)} and {len(subgraph.outputs)}."
        )
    image, scores = (subgraph.tensors[ends[0]] for ends in (subgraph.inputs, subgraph.outputs))
    classes = scores.shape[-1]
    if classes != len(metadata.labels):
        raise ValueError(f"Expected a label for each of {classes} classes. Received: {len(metadata.labels)} labels.")
    return {"inputs": [_image_tables(image)], "outputs": [_scores_tables()]}


def _image_tables(image: schema.TensorT) -> dict[str, Any]:
    _, height, width, _ = image.shape
    fields: dict[str, Any] = {
        "name": "image",
        "description": f"An RGB image of {width}x{height} pixels with values in 0..255.",
        "content": {"type": tables.IMAGE, "properties": {"color_space": tables.RGB}},
        "stats": {"max": [255.0], "min": [0.0]},
    }
    if image.type == schema.TensorType.FLOAT32:
        normalization = {"type": tables.NORMALIZATION, "options": {"mean": [0.0], "std": [1.0]}}
        fields["process_units"] = [normalization]
    return fields


def _scores_tables() -> dict[str, Any]:
    label_file = {"name": LABELS_FILE, "description": "Line i names class i.", "type": tables.AXIS_LABELS}
    return {
        "name": "probabilities",
        "description": "The probability of each class.",
        "content": {"type": tables.FEATURE, "properties": {}},
        "stats": {"max": [1.0], "min": [0.0]},
        "files": [label_file],
    }


def _with_labels(content: bytes, labels: tuple[str, ...]) -> bytes:
    file = io.BytesIO(content)
    # Uncompressed, for readers map the file into memory; with a fixed date, so that equal files have equal bytes.
    with zipfile.ZipFile(file, "a", compression=zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABELS_FILE), "".join(f"{label}\n" for label in labels))
    return file.getvalue()
