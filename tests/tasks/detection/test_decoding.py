import numpy as np
import pytest

from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.boxes import encode
from ofar_tf.tasks.detection.decoding import Decoding
from ofar_tf.text.size import Size

SIZE = Size(64, 64)


def outputs(*things: tuple[int, int, list[float], float]) -> dict[str, np.ndarray]:
    """What a network would say of two images, the second without things: (anchor, class, box, logit) for the first."""
    anchors = np.array(Anchors().boxes(SIZE))
    classes, boxes = np.full((2, len(anchors), 3), -9.0, np.float32), np.zeros((2, len(anchors), 4), np.float32)
    for anchor, kind, box, logit in things:
        classes[0, anchor, kind] = logit
        boxes[0, anchor] = encode(np.float32(box), anchors[anchor])
    return {"classes": classes, "boxes": boxes}


def test_of_detections_of_a_class_that_overlap_the_likeliest_is_kept():
    box, near, far = [0.1, 0.1, 0.5, 0.5], [0.1, 0.12, 0.5, 0.52], [0.6, 0.6, 0.9, 1.2]
    found = Decoding(detections=5).decode(
        outputs((3, 0, box, 1.0), (40, 0, near, 2.0), (90, 1, box, 0.0), (200, 2, far, -1.0)),
        size=SIZE,
        anchors=Anchors(),
    )
    assert found["count"].tolist() == [3, 0]
    assert found["classes"][0].tolist() == [0, 1, 2, 0, 0]
    np.testing.assert_allclose(found["scores"][0], [*(1 / (1 + np.exp(-x)) for x in (2.0, 0.0, -1.0)), 0, 0], rtol=1e-5)
    np.testing.assert_allclose(found["boxes"][0, :3], [near, box, [0.6, 0.6, 0.9, 1.0]], atol=1e-5)
    assert not found["boxes"][1].any()


def test_there_are_no_more_detections_than_asked_for():
    found = Decoding(score_threshold=0.0, detections=7).decode(outputs(), size=SIZE, anchors=Anchors())
    assert found["count"].tolist() == [7, 7]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"score_threshold": 1.0},
         "Expected thresholds in [0, 1]. Received: score_threshold=1.0, iou_threshold=0.5."),
        ({"detections": 0}, "Expected at least one detection. Received: candidates=1000, detections=0."),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(ValueError) as caught:
        Decoding(**settings)
    assert str(caught.value) == sentence
