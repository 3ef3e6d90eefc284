import math

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.tasks.detection.alignment import aligned
from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.boxes import encode
from ofar_tf.tasks.detection.losses import focal_loss
from ofar_tf.tasks.detection.task import Detection, Lesson
from ofar_tf.text.size import Size

SIZE = Size(64, 96)
ANCHORS = np.array(Anchors(3.0).boxes(SIZE))
# Exactly an anchor, in the second image; the first shows nothing.
LABELS = {
    "boxes": np.stack([np.zeros((2, 4)), [ANCHORS[500], np.zeros(4)]]).astype(np.float32),
    "classes": np.int32([[-1, -1], [1, -1]]),
    "crowd": np.zeros((2, 2), bool),
}


def task(**settings) -> Detection:
    return Detection(2, Anchors(3.0), **settings)


def outputs(seed: int, size: Size = SIZE) -> dict[str, tf.Tensor]:
    anchors, random = len(np.array(Anchors(3.0).boxes(size))), np.random.default_rng(seed)
    return {
        "classes": tf.constant(random.normal(-3, 1, (2, anchors, 2)), tf.float32),
        "boxes": tf.constant(random.normal(0, 0.1, (2, anchors, 4)), tf.float32),
    }


def loss(task: Detection, found, *, taught_at: Size | None = None, lesson=None) -> float:
    targets = task.targets_at(task.targets(LABELS), SIZE)
    blank = Lesson(tf.zeros([2, 1, 2]), tf.zeros([2, 2]))
    taught = blank if taught_at is None else task.lesson(lesson, taught_at)
    return float(task.loss(found, targets, taught, from_labels=tf.constant(taught_at is None)))


def test_the_loss_is_that_of_a_hand_count():
    chosen, found = task(box_loss="smooth_l1", box_weight=3.0), outputs(0)
    targets = chosen.targets_at(chosen.targets(LABELS), SIZE)
    labels = targets.labels.numpy()[..., 0]
    assert set(labels[0]) == {-1} and labels[1, 500] == 1
    total, things = 0.0, 0
    for image in range(2):
        for anchor, label in enumerate(labels[image]):
            if label == -2:
                continue
            for kind in range(2):
                p = 1 / (1 + math.exp(-float(found["classes"][image, anchor, kind])))
                total += -0.25 * (1 - p) ** 2 * math.log(p) if kind == label else -0.75 * p**2 * math.log(1 - p)
            if label >= 0:
                things += 1
                wanted = np.array(encode(LABELS["boxes"][1, 0], ANCHORS[anchor]))
                error = np.abs(wanted - found["boxes"][image, anchor].numpy())
                total += 3.0 * np.where(error < 1 / 9, 4.5 * error**2, error - 1 / 18).sum()
    assert things > 1
    assert np.isclose(loss(chosen, found), total / things, rtol=1e-4)


def test_without_a_thing_in_the_batch_the_loss_is_finite():
    chosen = task()
    nothing = {**LABELS, "classes": np.full((2, 2), -1, np.int32)}
    targets = chosen.targets_at(chosen.targets(nothing), SIZE)
    value = chosen.loss(
        outputs(0), targets, Lesson(tf.zeros([2, 1, 2]), tf.zeros([2, 2])), from_labels=tf.constant(True)
    )
    assert np.isfinite(float(value))


def test_a_student_that_says_what_its_teacher_says_lowers_boxes_only():
    found = outputs(1)
    sure, unsure = task(class_target="distill", box_weight=1.0), task(class_target="distill", box_weight=2.0)
    once, twice = (loss(each, found, taught_at=SIZE, lesson=found) for each in (sure, unsure))
    assert np.isclose(twice, 2 * once, rtol=1e-5)


def test_both_is_the_mean_of_teacher_and_labels():
    found, taught, size = outputs(1), outputs(2, Size(128, 192)), Size(128, 192)
    values = {
        target: loss(task(class_target=target), found, taught_at=size, lesson=taught)
        for target in ("distill", "ground_truth", "both")
    }
    assert np.isclose(values["both"], (values["distill"] + values["ground_truth"]) / 2, rtol=1e-5)
    assert np.isclose(values["ground_truth"], loss(task(), found), rtol=1e-5)


def test_where_a_teacher_has_no_such_scale_hard_labels_stay():
    found, taught, size = outputs(1), outputs(2, Size(128, 192)), Size(128, 192)
    chosen = task(class_target="distill", box_weight=1e-9)
    targets = chosen.targets_at(chosen.targets(LABELS), SIZE)
    said, known = aligned(tf.sigmoid(taught["classes"]), teacher_size=tf.constant([128, 192]),
                          student_size=tf.constant([64, 96]))  # fmt: skip
    labels = targets.labels.numpy()[..., 0]
    truth = np.eye(3, dtype=np.float32)[labels][..., :2]  # -1 and -2 are the last two of three rows.
    truth[labels < 0] = 0
    soft, hard = np.array(focal_loss(said, found["classes"])), np.array(focal_loss(truth, found["classes"]))
    hard[labels == -2] = 0
    known = np.array(known)[:, 0]
    assert 0 < (~known).sum() < known.size / 10
    expected = (soft[:, known].sum() + hard[:, ~known].sum()) / (labels >= 0).sum()
    assert np.isclose(loss(chosen, found, taught_at=size, lesson=taught), expected, rtol=1e-4)


def test_progress_is_the_mean_probability_of_the_right_class():
    chosen, found = task(), outputs(3)
    targets = chosen.targets_at(chosen.targets(LABELS), SIZE)
    labels = targets.labels.numpy()[..., 0]
    right = [1 / (1 + math.exp(-float(found["classes"][i, a, labels[i, a]]))) for i, a in np.argwhere(labels >= 0)]
    assert np.isclose(float(chosen.progress(chosen.lesson(found, SIZE), targets)), np.mean(right), rtol=1e-5)


def test_a_network_that_finds_each_box_has_an_average_precision_of_one():
    found = {"classes": np.full((2, len(ANCHORS), 2), -9.0, np.float32), "boxes": np.zeros((2, len(ANCHORS), 4))}
    found["classes"][1, 500, 1] = 4.0
    chosen = task()
    evaluator = chosen.evaluator(SIZE)
    known = {
        "image_size": np.float32([[240, 360]] * 2),
        "content": np.ones((2, 2), np.float32),
        "image_id": np.arange(2),
    }
    evaluator.update({name: value.astype(np.float32) for name, value in found.items()}, {**LABELS, **known})
    scores = evaluator.result()
    assert scores.metric is chosen.metric and scores.images == 2
    assert np.isclose(scores.best, 1.0, atol=1e-6)


def test_what_is_shipped_are_scores_and_deltas():
    import keras

    classes, boxes = keras.Input((None, 2)), keras.Input((None, 4))
    shipped = keras.Model([classes, boxes], task().shipped({"classes": classes, "boxes": boxes}))
    found = {name: value.numpy() for name, value in outputs(4).items()}
    expected = task().finished(found)
    actual = shipped([found["classes"], found["boxes"]])
    np.testing.assert_allclose(actual["scores"], expected["scores"], rtol=1e-5)
    np.testing.assert_array_equal(actual["boxes"], expected["boxes"])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"class_target": "teacher"}, "Expected a class_target of distill, ground_truth, both. Received: 'teacher'."),
        ({"box_loss": "l2"}, "Expected a box_loss of smooth_l1, giou, ciou. Received: 'l2'."),
        ({"box_weight": 0.0}, "Expected a positive box_weight. Received: 0.0."),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(ValueError) as caught:
        task(**settings)
    assert str(caught.value) == sentence


def test_labels_of_another_form_are_refused():
    batches = tf.data.Dataset.from_tensor_slices((np.zeros((2, 64, 96, 3)), np.zeros(2))).batch(2)
    with pytest.raises(ValueError, match="Expected batches of images and labels with boxes"):
        task().checked(batches, SIZE)
    with pytest.raises(ValueError, match="weights of images, which detection has not"):
        task().targets(LABELS, np.ones(2))
