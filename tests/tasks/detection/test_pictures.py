import keras
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from ofar_tf.tasks.answers import SizedRun
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.tasks.detection.pictures import draw_detections, plot_found
from ofar_tf.tasks.detection.task import Detection
from ofar_tf.text.size import Size

IMAGES = np.full((2, 20, 40, 3), 200.0, np.float32)
LABELS = {
    "boxes": np.array([[[0.1, 0.2, 0.5, 0.4], [0.5, 0.5, 0.9, 0.9]], [[0, 0, 0, 0], [0, 0, 0, 0]]], np.float32),
    "classes": np.array([[1, 0], [-1, -1]]),
    "crowd": np.array([[False, True], [False, False]]),
    "content": np.array([[1.0, 1.0], [1.0, 0.5]], np.float32),
}
FOUND = {
    "boxes": np.array([[[0.1, 0.2, 0.5, 0.45], [0, 0, 1, 1], [0, 0, 1, 1]]] * 2, np.float32),
    "classes": np.array([[1, 0, 0]] * 2),
    "scores": np.array([[0.9, 0.2, 0.8]] * 2),
    "count": np.array([2, 0]),
}


def boxes_in(axes):
    return [
        (round(patch.get_y(), 3), round(patch.get_x(), 3), round(patch.get_height(), 3), round(patch.get_width(), 3))
        for patch in axes.patches
        if isinstance(patch, Rectangle)
    ]


def test_true_boxes_stand_beside_those_that_were_found_likely_enough():
    figure = draw_detections(IMAGES, LABELS, {"small": FOUND}, class_names=("ant", "bee"))
    truth, found, empty_truth, empty_found = figure.axes
    assert [truth.get_title(), found.get_title()] == ["ground truth", "small"]
    assert boxes_in(truth) == [(0.1, 0.2, 0.4, 0.2), (0.5, 0.5, 0.4, 0.4)]
    assert [patch.get_linestyle() for patch in truth.patches] == ["-", "--"]
    assert boxes_in(found) == [(0.1, 0.2, 0.4, 0.25)]
    assert [text.get_text() for text in found.texts] == ["bee 0.90"]
    assert boxes_in(empty_truth) == boxes_in(empty_found) == []


def test_the_likeliest_of_what_a_thing_is_taken_for_lies_on_top():
    found = {**FOUND, "scores": np.array([[0.9, 0.7, 0.8]] * 2), "count": np.array([3, 3])}
    figure = draw_detections(IMAGES[:1], LABELS, {"small": found}, class_names=("ant", "bee"))
    assert [text.get_text() for text in figure.axes[1].texts] == ["ant 0.70", "ant 0.80", "bee 0.90"]


def test_the_canvas_beside_an_image_is_cut_off():
    figure = draw_detections(IMAGES, LABELS, {}, class_names=("ant", "bee"))
    assert [axes.get_xlim() for axes in figure.axes] == [(0, 1), (0, 0.5)]
    assert [axes.images[0].get_array().shape for axes in figure.axes] == [(20, 40, 3), (20, 20, 3)]


@pytest.mark.parametrize("content", [(1 / 96, 1.0), (1.0, 1 / 128)])
def test_a_picture_of_a_strip_can_be_looked_at(content, tmp_path):
    strip = {"boxes": np.zeros((1, 4)), "classes": np.zeros(1), "scores": np.ones(1), "count": 1}
    names = ["5$ and 10$_{"]  # A formula, if anybody read it as one.
    path = tmp_path / "strip.png"
    plot_found(path, np.zeros((96, 128, 3)), np.array(content), strip, names=names, least_score=0.3)
    assert all(100 <= side <= 1280 for side in keras.utils.load_img(path).size)


def test_the_task_draws_what_each_network_finds_at_its_own_size():
    task = Detection(2)

    def sees(images):
        assert images is IMAGES
        anchors = len(task.anchors.boxes(Size(64, 64)))
        classes = np.full((2, anchors, 2), -9.0, np.float32)
        classes[0, 5, 1] = 2.0
        return {"classes": classes, "boxes": np.zeros((2, anchors, 4), np.float32)}

    drawn = task.pictures({"small": SizedRun(Size(64, 64), sees)}, iter([(IMAGES, LABELS)]), labels=("ant", "bee"))
    (name,) = drawn
    _, found, _, empty = drawn[name].axes
    assert name == "detections" and found.get_title() == "small"
    assert [text.get_text() for text in found.texts] == ["bee 0.88"] and not empty.texts


def test_a_task_that_draws_nothing_reads_no_images():
    assert Classification(2).pictures({}, iter(()), labels=("ant", "bee")) == {}


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="at least one image"):
        draw_detections(IMAGES[:0], LABELS, {}, class_names=())
