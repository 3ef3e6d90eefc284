"""Average precision as COCO counts it, in pixels of the original images."""

import contextlib
import io
from collections.abc import Callable, Mapping
from importlib.util import find_spec

import numpy as np

from ofar_tf.tasks.detection.gathering import gathered
from ofar_tf.tasks.task import Metric, Scores

METRIC = Metric(
    key="ap",
    title="average precision",
    columns={
        "ap": "AP",
        "ap50": "AP50",
        "ap75": "AP75",
        "ap_small": "AP small",
        "ap_medium": "AP medium",
        "ap_large": "AP large",
        "ar100": "AR100",
    },
    progress="right_class",
)
# Where these stand among the twelve numbers of COCO's summary.
_PLACES = (0, 1, 2, 3, 4, 5, 8)
_PACKAGE = "faster_coco_eval"
# The columns of what is kept: of an image; of a true box; of a detection. Boxes are left, top, width, height in pixels.
_IMAGE, _TRUE, _FOUND = 2, 8, 7


def require_coco_tools() -> None:
    """Refuses to begin where the package that computes AP is missing.

    Raises:
        ValueError: It is.
    """
    if find_spec(_PACKAGE) is None:
        raise ValueError(
            "Expected the package faster-coco-eval, which computes average precision: pip install "
            "'ofar_tf[detection]'. Received: no such package."
        )


class AveragePrecision:
    """Collects detections and true boxes, and compares them when all are there.

    The numbers are those of COCO's own program, pycocotools, to the bit; faster-coco-eval computes them several times
    faster. AP is the mean over IoU thresholds from .50 to .95 and over the classes that have a box; a detection in a
    crowd counts for nothing. Objects are small up to 32x32 and large from 96x96 pixels of the original image on, by
    their own area where the data set says it. Where a number is not defined, since no image holds an object of that
    size or any at all, it is 0 (COCO's program says -1).
    """

    def __init__(self) -> None:
        require_coco_tools()
        self._images: list[np.ndarray] = []
        self._true: list[np.ndarray] = []
        self._found: list[np.ndarray] = []
        self._count = 0

    def update(self, detections: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> None:
        """Adds a batch.

        Args:
            detections: `boxes` [B, K, 4] (top, left, bottom, right, as shares of the canvas), `classes` [B, K],
                `scores` [B, K], and `count` [B]: how many of the K are meant.
            labels: `boxes` [B, N, 4], `classes` [B, N] with -1 where there is no box, `crowd` [B, N], `image_size`
                [B, 2], `content` [B, 2] and `image_id` [B], see `ofar_tf.data.detection`; `area` [B, N] in pixels, or
                none, for the boxes' own.
        """
        batch = len(labels["image_id"])
        numbers = self._count + np.arange(batch, dtype=np.float64)
        self._count += batch
        self._images.append(np.stack([numbers, labels["image_id"]], axis=1))
        true, found = _in_pixels(labels["boxes"], labels), _in_pixels(detections["boxes"], labels)
        areas = labels["area"] if "area" in labels else true[..., 2] * true[..., 3]
        columns = [labels["classes"], labels["crowd"], areas]
        self._true.append(_rows(numbers, [true, *columns], kept=np.asarray(labels["classes"]) >= 0))
        kept = np.arange(found.shape[1]) < np.asarray(detections["count"])[:, np.newaxis]
        # What lies in the black beside the image is nothing in it.
        kept &= (found[..., 2:] > 0.0).all(axis=-1)
        self._found.append(_rows(numbers, [found, detections["scores"], detections["classes"]], kept=kept))

    def share(self, total: Callable[[np.ndarray], np.ndarray]) -> None:
        """Gathers what several processes have collected; afterwards all of them have all."""
        parts = gathered([self._table(self._images, _IMAGE), self._table(self._true, _TRUE), self._detections], total)
        images, true, found = zip(*parts, strict=True)
        # Images are numbered in each process from 0 on.
        before = np.cumsum([0, *(len(part) for part in images)])[:-1]
        for tables in (images, true, found):
            for table, first in zip(tables, before, strict=True):
                table[:, 0] += first
        self._images, self._true, self._found = list(images), list(true), list(found)
        self._count = sum(len(part) for part in images)

    def result(self) -> Scores:
        """Returns the scores.

        Raises:
            ValueError: If there were no images.
        """
        if not self._count:
            raise ValueError("Expected at least one image to measure average precision on. Received: none.")
        images, true, found = self._table(self._images, _IMAGE), self._table(self._true, _TRUE), self._detections
        # Equal scores are ordered by image: in the order of image ids, so that it is the same for any sharing out.
        order = np.lexsort((images[:, 0], images[:, 1]))
        place = np.empty(len(order))
        place[order] = np.arange(len(order))
        true[:, 0], found[:, 0] = place[true[:, 0].astype(int)], place[found[:, 0].astype(int)]
        numbers = _coco_numbers(len(images), true, found)
        values = dict(zip(METRIC.columns, numbers, strict=True))
        return Scores(METRIC, values, self._count)

    @property
    def _detections(self) -> np.ndarray:
        return self._table(self._found, _FOUND)

    @staticmethod
    def _table(tables: list[np.ndarray], columns: int) -> np.ndarray:
        return np.concatenate([np.zeros((0, columns)), *tables])


def _in_pixels(boxes: np.ndarray, labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns boxes [B, N, 4] of a canvas as left, top, width, height in pixels of the images, cut at their edges."""
    content, size = (np.asarray(labels[name], np.float64)[:, np.newaxis] for name in ("content", "image_size"))
    corners = np.asarray(boxes, np.float64).reshape(len(boxes), -1, 2, 2)
    corners = np.clip(corners / content[:, :, np.newaxis], 0.0, 1.0) * size[:, :, np.newaxis]
    top_left, sides = corners[:, :, 0], corners[:, :, 1] - corners[:, :, 0]
    return np.concatenate([top_left[..., ::-1], sides[..., ::-1]], axis=-1)


def _rows(numbers: np.ndarray, columns: list[np.ndarray], *, kept: np.ndarray) -> np.ndarray:
    """Returns the kept rows of all images: the image's number, and what is known of each."""
    wide = [np.asarray(each, np.float64) for each in columns]
    images = np.broadcast_to(numbers[:, np.newaxis], kept.shape)
    table = np.concatenate([each if each.ndim == 3 else each[..., np.newaxis] for each in (images, *wide)], axis=-1)
    return table[kept]


def _coco_numbers(images: int, true: np.ndarray, found: np.ndarray) -> list[float]:
    from faster_coco_eval import COCO, COCOeval_faster

    if not len(true) or not len(found):
        return [0.0] * len(_PLACES)
    # Numbers from 1 on: to COCO's program, 0 means no match.
    annotations = [
        {
            "id": number,
            "image_id": int(image),
            "bbox": box,
            "category_id": int(kind),
            "iscrowd": int(crowd),
            "area": area,
        }
        for number, (image, *box, kind, crowd, area) in enumerate(true.tolist(), start=1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": number} for number in range(images)],
            "annotations": annotations,
            "categories": [{"id": int(kind)} for kind in np.unique(true[:, 5])],
        }
        truth.createIndex()
        comparison = COCOeval_faster(truth, truth.loadRes(found), "bbox")
        comparison.evaluate()
        comparison.accumulate()
        comparison.summarize()
    return [max(0.0, float(comparison.stats[place])) for place in _PLACES]
