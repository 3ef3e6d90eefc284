import base64
import io

import numpy as np
import pytest
from PIL import Image

from ofar_tf.tasks.classification.predictions import Predictions
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.tasks.detection.task import Detection
from ofar_tf.tasks.examples import Example, evenly_spread, picked


def batches(images=10, size=4, *, read=None):
    """Images whose number is their brightness and their label."""
    numbers = np.arange(images)
    for first in range(0, images, size):
        part = numbers[first : first + size]
        if read is not None:
            read.append(first)
        yield np.ones((len(part), 8, 8, 3), np.float32) * 10 * part[:, None, None, None], {"number": part}


def pixels(example):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(example.picture.partition(",")[2]))).convert("RGB"))


def test_single_images_are_taken_out_in_the_order_of_the_split_and_no_more_is_read_than_needed():
    read = []
    found = list(picked(batches(read=read), [5, 1, 5]))
    assert [(place, image.shape, image.max(), label["number"].tolist()) for place, image, label in found] == [
        (1, (1, 8, 8, 3), 10.0, [1]),
        (5, (1, 8, 8, 3), 50.0, [5]),
    ]
    assert read == [0, 4]
    assert [place for place, *_ in picked(batches(), [9, 30])] == [9]
    assert list(picked(batches(), [])) == []


def test_some_of_many_reach_from_the_first_to_the_last():
    assert evenly_spread(np.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert evenly_spread(np.arange(3), 8).tolist() == [0, 1, 2]
    assert evenly_spread(np.arange(5), 0).tolist() == evenly_spread(np.arange(0), 3).tolist() == []


def test_a_picture_is_a_small_webp_that_holds_itself():
    drawn = Example.drawn(np.full((6, 9, 3), [250.7, 0.0, -3.0]), "a red one")
    assert drawn.picture.startswith("data:image/webp;base64,") and len(drawn.picture) < 300
    assert pixels(drawn).shape == (6, 9, 3) and np.abs(pixels(drawn).astype(int) - [251, 0, 0]).max() < 12
    assert drawn == Example.drawn(np.full((6, 9, 3), [250.7, 0.0, -3.0]), "a red one")
    for address in ("https://elsewhere/", 'data:image/webp;base64," onload="alert(1)'):
        with pytest.raises(ValueError, match=r"Expected a picture that holds itself\. Received: picture="):
            Example(address, "")


def test_half_of_the_images_are_wrong_ones_where_there_are_as_many():
    def chosen(right, count):
        ranks = np.where(right, 0, 3)
        return Predictions(np.zeros_like(ranks), ranks, ranks).wrong_and_right(count).tolist()

    right = np.array([1, 0, 1, 1, 0, 1, 0, 1, 1, 1], bool)
    assert chosen(right, 4) == [1, 6, 0, 9]
    assert chosen(np.ones(10, bool), 4) == [0, 3, 6, 9] == chosen(np.zeros(10, bool), 4)
    assert sorted(chosen(right, 50)) == list(range(10))


def test_a_classifier_s_first_guess_stands_under_each_image_and_under_a_wrong_one_the_truth():
    truth, said = np.array([0, 1, 2, 1]), np.array([0, 2, 2, 1])
    answers = Predictions(truth, said, np.where(truth == said, 0, 1))

    def run(images):
        number = int(images[0, 0, 0, 0]) // 10
        scores = np.full((1, 3), 0.1)
        scores[0, said[number]] = 0.8 if number < 3 else np.nan
        return scores

    labels = ("cat", "dog", "eel")
    found = Classification(3).examples(answers, run, batches(4), labels=labels, count=4)
    assert [(each.caption, each.right) for each in found] == [
        ("eel, 80%; it is dog", False),
        ("cat, 80%", True),
        ("eel, 80%", True),
        ("no answer; it is dog", False),
    ]
    assert [round(pixels(each).mean() / 10) for each in found] == [1, 0, 2, 3]
    assert Classification(3).examples(answers, run, batches(4), labels=labels[:2], count=4) == ()


def test_a_detector_s_boxes_stand_beside_the_true_ones():
    labels = {
        "boxes": np.array([[[0.1, 0.1, 0.6, 0.6], [0, 0, 1, 1]]] * 3, np.float32),
        "classes": np.array([[1, 0], [1, 0], [-1, -1]]),
        "crowd": np.array([[False, True]] * 3),
        "content": np.ones((3, 2), np.float32),
        "image_size": np.array([[64, 64]] * 3),
        "image_id": np.arange(3),
    }
    found = {
        "boxes": np.array([[[0.1, 0.1, 0.6, 0.5], [0, 0, 1, 1]]], np.float32),
        "classes": np.array([[1.0, 0.0]]),
        "scores": np.array([[0.9, 0.1]]),
        "count": np.array([2.0]),
    }
    split = [(np.full((3, 64, 64, 3), 128.0), labels)]
    task = Detection(2)
    answers = task.answers(
        lambda images: {name: np.repeat(each, len(images), 0) for name, each in found.items()}, split
    )
    drawn = task.examples(answers, lambda images: found, split, labels=("ant", "bee"), count=2)
    assert [(each.caption, each.right) for each in drawn] == [
        ("1 there, 1 found with a score of at least 0.3", None),
        ("0 there, 1 found with a score of at least 0.3", None),
    ]
    height, width, _ = pixels(drawn[0]).shape
    assert width > 1.5 * height
    assert max(len(each.picture) for each in drawn) < 20_000


def test_a_task_that_draws_nothing_has_no_examples():
    class Silent(Classification):
        pass

    assert super(Classification, Silent(1)).examples(None, None, [], labels=(), count=8) == ()
