"""Which size of anchors suits the things that are to be found."""

from dataclasses import dataclass

import numpy as np

from ofar_tf.models.detector import LEVELS
from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.boxes import overlaps
from ofar_tf.tasks.detection.matching import POSITIVE_OVERLAP
from ofar_tf.text.size import Size

# RetinaNet's first, which is for things of 32 pixels and more; then finer ones.
SCALES = (4.0, 3.0, 2.0, 1.5, 1.0)
# A coarser scale is as good if the share of boxes that it suits is less by at most this: its anchors lie closer, for
# their size, and separate things that stand side by side.
_AS_GOOD = 0.05
# If fewer boxes have an anchor, the user is told.
_FEW = 0.5
# So many boxes say what all of them would.
_MOST_BOXES = 20_000


@dataclass(frozen=True)
class FittingScale:
    """The scale of anchors that was chosen for boxes.

    Attributes:
        scale: See `Anchors`.
        share: Share of the boxes that have an anchor of about their size, in the mean over the classes, in [0, 1].
        usual: The same with the first of `SCALES`.
        middle: The median height and width of the boxes on the canvas, in pixels; zeros if there are none.
    """

    scale: float
    share: float
    usual: float
    middle: tuple[float, float] = (0.0, 0.0)

    @property
    def is_usual(self) -> bool:
        """Whether the scale is RetinaNet's."""
        return self.scale == SCALES[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know: the scale, if it is not RetinaNet's, and whether none suits the boxes."""
        chosen = () if self.is_usual else (f"Chosen for the training boxes: {self}",)
        if self.share >= _FEW:
            return chosen
        height, width = self.middle
        return (
            *chosen,
            f"Only {self.share:.0%} of the training boxes have an anchor of about their size, in the mean over the "
            f"classes, with any --anchor_scale: half of them are less than {height:.3g} pixels high and {width:.3g} "
            "wide. Larger --resolutions help if they are small.",
        )

    def __str__(self) -> str:
        return (
            f"--anchor_scale={self.scale:g}: {self.share:.0%} of them have an anchor of about their size, in the mean "
            f"over the classes; with {SCALES[0]:g}, {self.usual:.0%}"
        )


def fitting_scale(boxes: np.ndarray, classes: np.ndarray, *, canvas: Size) -> FittingScale:
    """Chooses the coarsest scale whose anchors are about as large as the boxes (our own; RetinaNet's is always 4).

    A box and an anchor are of about the same size if they would overlap enough for the anchor to find it, were their
    centres the same. Classes count alike, however many boxes they have, as they do in AP.

    Args:
        boxes: float `[N, 4]`: top, left, bottom, right as shares of the canvas.
        classes: int `[N]`, from 0.
        canvas: The largest resolution; on smaller ones small things are lost, whatever the anchors.
    """
    if not len(boxes):
        return FittingScale(SCALES[0], 1.0, 1.0)
    some = np.unique(np.linspace(0, len(boxes) - 1, _MOST_BOXES, dtype=np.int64))
    sides = (boxes[some, 2:] - boxes[some, :2]) * (canvas.height, canvas.width)
    shares = [_share(sides, classes[some], scale=scale) for scale in SCALES]
    chosen = next(index for index, share in enumerate(shares) if share >= max(shares) - _AS_GOOD)
    height, width = np.median(sides, axis=0).tolist()
    return FittingScale(SCALES[chosen], shares[chosen], shares[0], (height, width))


def _share(sides: np.ndarray, classes: np.ndarray, *, scale: float) -> float:
    """The share of boxes that an anchor overlaps enough, in the mean over the classes."""
    anchors = np.concatenate([np.array(Anchors(scale).sides()) * 2.0**level for level in LEVELS])
    best = np.max(overlaps(_centred(sides)[:, np.newaxis], _centred(anchors)), axis=1)
    counts = np.bincount(classes)
    found = np.bincount(classes, weights=best >= POSITIVE_OVERLAP)
    return float((found[counts > 0] / counts[counts > 0]).mean())


def _centred(sides: np.ndarray) -> np.ndarray:
    """Boxes of these heights and widths around one point."""
    return np.concatenate([-sides, sides], axis=1) / 2
