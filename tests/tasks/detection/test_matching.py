import numpy as np
import pytest

from ofar_tf.tasks.detection import matching
from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.boxes import decode
from ofar_tf.tasks.detection.matching import BACKGROUND, IGNORED, assign
from ofar_tf.text.size import Size


def iou(a: np.ndarray, b: np.ndarray) -> float:
    h, w = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(h, 0) * max(w, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union else 0.0


def by_hand(boxes, classes, crowd, anchors):
    """The rules one anchor at a time, as the paper tells them."""
    things = [n for n in range(len(boxes)) if classes[n] >= 0 and not crowd[n]]
    crowds = [n for n in range(len(boxes)) if classes[n] >= 0 and crowd[n]]
    table = np.array([[iou(anchor, boxes[n]) for n in things] for anchor in anchors]).reshape(len(anchors), -1)
    labels, matched = np.full(len(anchors), BACKGROUND), np.full(len(anchors), -1)
    for index, anchor in enumerate(anchors):
        best = table[index].max() if things else 0
        area = (anchor[2] - anchor[0]) * (anchor[3] - anchor[1])
        for n in crowds:
            h = min(anchor[2], boxes[n][2]) - max(anchor[0], boxes[n][0])
            w = min(anchor[3], boxes[n][3]) - max(anchor[1], boxes[n][1])
            if max(h, 0) * max(w, 0) >= 0.5 * area:
                labels[index] = IGNORED
        if best >= 0.4:
            labels[index] = IGNORED
        if best >= 0.5:
            matched[index] = things[int(table[index].argmax())]
    claims: dict[int, list[tuple[float, int]]] = {}
    for column, n in enumerate(things):
        index = int(table[:, column].argmax())
        if table[index, column] > 0:
            claims.setdefault(index, []).append((table[index, column], n))
    for index, wanted in claims.items():
        matched[index] = max(wanted)[1]
    for index in np.flatnonzero(matched >= 0):
        labels[index] = classes[matched[index]]
    return labels, matched


@pytest.mark.parametrize("seed", range(6))
def test_an_assignment_is_that_of_an_independent_implementation(seed):
    random = np.random.default_rng(seed)
    anchors = np.array(Anchors(3.0).boxes(Size(64, 96)))
    corners = random.uniform(0, 0.7, (2, 7, 2))
    boxes = np.concatenate([corners, corners + random.uniform(0.05, 0.5, (2, 7, 2))], axis=-1).astype(np.float32)
    classes = random.integers(-1, 4, (2, 7)).astype(np.int32)
    crowd = random.random((2, 7)) < 0.25
    found = assign(boxes, classes, crowd, anchors)
    for image in range(2):
        labels, matched = by_hand(boxes[image], classes[image], crowd[image], anchors)
        np.testing.assert_array_equal(found.labels[image, :, 0], labels)
        chosen = matched >= 0
        decoded = decode(found.deltas[image], anchors).numpy()
        np.testing.assert_allclose(decoded[chosen], boxes[image][matched[chosen]], atol=1e-5)
        assert not found.deltas[image].numpy()[~chosen].any()


@pytest.mark.parametrize("boxes", [0, 3])
def test_without_things_all_is_background(boxes):
    found = assign(
        np.zeros((1, boxes, 4), np.float32), np.full((1, boxes), -1, np.int32), np.zeros((1, boxes), bool),
        np.array(Anchors().boxes(Size(32, 32))),
    )  # fmt: skip
    assert (found.labels.numpy() == BACKGROUND).all()


def test_a_thing_that_no_anchor_fits_has_one_all_the_same():
    anchors = np.array(Anchors(4.0).boxes(Size(64, 64)))
    thin = np.float32([[[0.5, 0.5, 0.501, 0.6]]])
    labels = assign(thin, np.int32([[2]]), np.zeros((1, 1), bool), anchors).labels.numpy()
    assert (labels == 2).sum() == 1


def test_images_that_do_not_fit_in_memory_at_once_are_assigned_like_those_that_do(monkeypatch):
    random = np.random.default_rng(0)
    anchors = np.array(Anchors(3.0).boxes(Size(32, 64)))
    corners = random.uniform(0, 0.7, (5, 3, 2))
    boxes = np.concatenate([corners, corners + random.uniform(0.05, 0.5, (5, 3, 2))], axis=-1).astype(np.float32)
    classes, crowd = random.integers(-1, 4, (5, 3)).astype(np.int32), random.random((5, 3)) < 0.25
    at_once = assign(boxes, classes, crowd, anchors)
    monkeypatch.setattr(matching, "_MOST_PAIRS", 2 * 4 * len(anchors) + 1)
    for whole, part in zip(at_once, assign(boxes, classes, crowd, anchors), strict=True):
        np.testing.assert_array_equal(whole, part)
