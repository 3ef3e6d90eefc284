"""What a detector's file says of its outputs: MediaPipe's ObjectDetector finds boxes by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ofar_tf.text.size import Size
from ofar_tf.tflite import metadata_tables as tables

LABELS_FILE = "labels.txt"
"""The name of the label file inside a TFLite file."""

# Of (left, top, right, bottom), where each stands: top, left, bottom, right.
_SIDES = {"index": [1, 0, 3, 2], "type": tables.BOUNDARIES, "coordinate_type": 0}
_BOXES = {"type": tables.BOXES, "properties": _SIDES}
_NUMBERS = {"type": tables.FEATURE, "properties": {}}
# Of detections, the two axes that boxes and scores share.
_PAIRED = {"range": {"min": 2, "max": 2}}


@dataclass(frozen=True)
class DetectorMetadata:
    """Where the boxes of a detector start from, and whether the file itself chooses among them.

    Attributes:
        strides: Of each level of the pyramid, in pixels.
        sides: Height and width of each anchor of a cell, in strides.
        decoded: Whether the file returns detections, and not scores and shifts of all anchors.
        canvas: The size of what images are put on before it is resized to what the file sees: its aspect may be another
            one. None for the file's own.

    Raises:
        ValueError: If one is not positive.
    """

    strides: tuple[int, ...]
    sides: tuple[tuple[float, float], ...]
    decoded: bool
    canvas: Size | None = None

    def __post_init__(self) -> None:
        if not self.strides or not self.sides or min(self.strides) < 1 or min(map(min, self.sides)) <= 0:
            raise ValueError(f"Expected positive strides and sides. Received: {self.strides} and {self.sides!r:.200}.")

    def anchors(self, height: int, width: int) -> np.ndarray:
        """Computes the anchors of an image, by level, row, column and anchor of a cell.

        Args:
            height: Of the image, in pixels.
            width: Likewise.

        Returns:
            float64 `[A, 4]`: the centre's y and x, height and width, in shares of the image.
        """
        levels = []
        for stride in self.strides:
            rows, columns = -(-height // stride), -(-width // stride)
            cells = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1) + 0.5
            centres = np.broadcast_to(cells[:, :, np.newaxis], (rows, columns, len(self.sides), 2))
            sides = np.broadcast_to(np.array(self.sides), (rows, columns, len(self.sides), 2))
            levels.append(stride * np.concatenate([centres, sides], axis=-1).reshape(-1, 4))
        return np.concatenate(levels) / [height, width, height, width]

    def output_tables(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Returns what is said of each output.

        Args:
            names: The outputs in the order of the file: `boxes`, `scores`, and of detections `classes` and `count`.

        Raises:
            ValueError: If they are others.
        """
        # MediaPipe knows outputs by the names that its own metadata writer gives them.
        labels = {"name": LABELS_FILE, "description": "Line i names class i."}
        known: dict[str, dict[str, Any]] = {
            "boxes": {"name": "location", "description": "Boxes.", "content": dict(_BOXES)},
            "scores": {"name": "score", "description": "Scores.", "content": dict(_NUMBERS)},
        }
        if self.decoded:
            for each in known.values():
                each["content"] |= _PAIRED
            category = {"name": "category", "description": "Classes.", "content": {**_NUMBERS, **_PAIRED}}
            known["classes"] = {**category, "files": [{**labels, "type": tables.VALUE_LABELS}]}
            known["count"] = {"name": "number of detections", "description": "How many detections there are."}
        else:
            known["scores"]["files"] = [{**labels, "type": tables.AXIS_LABELS}]
        if sorted(names) != sorted(known):
            raise ValueError(f"Expected the outputs {', '.join(sorted(known))}. Received: {', '.join(sorted(names))}.")
        return [known[name] for name in names]

    def custom_tables(self, *, height: int, width: int, classes: int) -> list[dict[str, Any]]:
        """Returns how raw outputs are decoded; nothing for a file that does it itself."""
        if self.decoded:
            return []
        anchors = self.anchors(height, width)
        keys = ("y_center", "x_center", "height", "width")
        options = {
            "ssd_anchors": {
                "fixed_anchors": {"anchors": [dict(zip(keys, map(float, anchor), strict=True)) for anchor in anchors]}
            },
            "decoding": {
                "num_classes": classes,
                "num_boxes": len(anchors),
                "num_coords": 4,
                "keypoint_coord_offset": 0,
                "num_keypoints": 0,
                "num_values_per_keypoint": 2,
                "x_scale": 1.0,
                "y_scale": 1.0,
                "w_scale": 1.0,
                "h_scale": 1.0,
                "apply_exponential_on_box_size": True,
                "sigmoid_score": False,
            },
        }
        return [{"name": tables.DETECTOR_METADATA, "data": tables.encode_detector_options(options)}]
