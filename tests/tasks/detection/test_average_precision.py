import contextlib
import io
import threading

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ofar_tf.data.detection import evaluation_batches, load_detection_dataset
from ofar_tf.tasks.detection.average_precision import METRIC, AveragePrecision
from ofar_tf.text.size import Size

# Two images in pixels, one wide and one high, on a canvas of 100x200; boxes as COCO's JSON has them.
SIZES = {5: (50, 100), 9: (400, 200)}  # Height, width.
CONTENT = {5: (1.0, 1.0), 9: (1.0, 0.25)}
TRUTH = [
    {"id": 1, "image_id": 5, "category_id": 0, "bbox": [10, 10, 20, 20], "iscrowd": 0, "area": 400},
    {"id": 2, "image_id": 5, "category_id": 1, "bbox": [50, 5, 40, 40], "iscrowd": 0, "area": 700},
    {"id": 3, "image_id": 5, "category_id": 0, "bbox": [60, 20, 30, 25], "iscrowd": 1, "area": 750},
    {"id": 4, "image_id": 9, "category_id": 0, "bbox": [20, 30, 150, 200], "iscrowd": 0, "area": 20000},
    {"id": 5, "image_id": 9, "category_id": 1, "bbox": [100, 300, 60, 70], "iscrowd": 0, "area": 4000},
]
# (image, left, top, width, height, score, class)
FOUND = [
    (5, 11, 12, 20, 20, 0.9, 0),
    (5, 62, 21, 12, 12, 0.8, 0),
    (5, 50, 5, 38, 41, 0.3, 1),
    (5, 5, 30, 14, 15, 0.55, 1),
    (9, 25, 40, 150, 180, 0.7, 0),
    (9, 24, 45, 140, 170, 0.6, 0),
    (9, 100, 290, 55, 75, 0.65, 1),
    (9, 10, 10, 20, 20, 0.95, 1),
]


def by_pycocotools() -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": image} for image in SIZES],
            "annotations": TRUTH,
            "categories": [{"id": 0}, {"id": 1}],
        }
        truth.createIndex()
        comparison = COCOeval(truth, truth.loadRes(np.array(FOUND, np.float64)), "bbox")
        comparison.evaluate()
        comparison.accumulate()
        comparison.summarize()
    return [comparison.stats[place] for place in (0, 1, 2, 3, 4, 5, 8)]


def on_canvas(image: int, box: list[float]) -> list[float]:
    (height, width), (down, right) = SIZES[image], CONTENT[image]
    left, top, wide, high = box
    return [
        top / height * down,
        left / width * right,
        (top + high) / height * down,
        (left + wide) / width * right,
    ]


def padded(rows, length, filling):
    return [*rows, *[filling] * (length - len(rows))]


def batch_of(images, *, truth=TRUTH, found=FOUND):
    own = {image: [each for each in truth if each["image_id"] == image] for image in images}
    seen = {image: [each for each in found if each[0] == image] for image in images}
    none = [0.0] * 4
    detections = {
        "boxes": [padded([on_canvas(i, list(d[1:5])) for d in seen[i]], 6, [0, 0, 1, 1]) for i in images],
        "scores": [padded([d[5] for d in seen[i]], 6, 1.0) for i in images],
        "classes": [padded([d[6] for d in seen[i]], 6, 0) for i in images],
        "count": [len(seen[i]) for i in images],
    }
    labels = {
        "boxes": [padded([on_canvas(i, each["bbox"]) for each in own[i]], 5, none) for i in images],
        "classes": [padded([each["category_id"] for each in own[i]], 5, -1) for i in images],
        "crowd": [padded([bool(each["iscrowd"]) for each in own[i]], 5, False) for i in images],
        "area": [padded([each["area"] for each in own[i]], 5, 0.0) for i in images],
        "image_size": [SIZES[i] for i in images],
        "content": [CONTENT[i] for i in images],
        "image_id": list(images),
    }
    return tuple({key: np.array(value) for key, value in each.items()} for each in (detections, labels))


def scores_of(*batches):
    precision = AveragePrecision()
    for batch in batches:
        precision.update(*batch)
    return precision.result()


def test_the_numbers_are_those_of_cocos_own_program():
    scores = scores_of(batch_of([5]), batch_of([9]))
    assert scores.images == 2 and scores.metric is METRIC
    expected = by_pycocotools()
    assert 0.1 < expected[0] < 0.9 and len(set(expected)) > 4
    np.testing.assert_allclose(list(scores.values.values()), expected, atol=1e-12)
    assert scores.best == scores.values["ap"]


def test_a_case_by_hand():
    # One of two ants is found, with an overlap of 10 * 9 / (100 + 90 - 90) = .9 up to which thresholds it counts, at
    # most; the other is missed. Precision is 1 up to a recall of a half: of the 101 recalls, the 51 from 0 to .50.
    truth = [
        {"id": 1, "image_id": 5, "category_id": 0, "bbox": [10, 10, 10, 10], "iscrowd": 0, "area": 100},
        {"id": 2, "image_id": 5, "category_id": 0, "bbox": [40, 10, 10, 10], "iscrowd": 0, "area": 100},
    ]
    scores = scores_of(batch_of([5], truth=truth, found=[(5, 10, 10, 10, 9, 0.9, 0)]))
    share = 51 / 101
    assert scores.values["ap50"] == scores.values["ap75"] == pytest.approx(share)
    # From .50 to .85 or .90, as rounding has it: eight or nine of ten thresholds.
    assert scores.values["ap"] in (pytest.approx(0.8 * share), pytest.approx(0.9 * share))
    assert scores.values["ap_small"] == scores.values["ap"]
    assert scores.values["ap_medium"] == scores.values["ap_large"] == 0.0


def test_what_lies_beyond_the_count_is_nothing():
    detections, labels = batch_of([5, 9])
    more = {**detections, "count": np.zeros(2, int)}
    assert scores_of((more, labels)).best == 0.0


def test_images_without_any_box_give_zeros_and_no_images_an_error():
    assert scores_of(batch_of([5, 9], truth=[])).values == dict.fromkeys(METRIC.columns, 0.0)
    with pytest.raises(ValueError, match="at least one image"):
        AveragePrecision().result()


def test_without_areas_the_boxes_own_count():
    detections, labels = batch_of([5, 9])
    boxes = [{**each, "area": each["bbox"][2] * each["bbox"][3]} for each in TRUTH]
    del labels["area"]
    assert scores_of((detections, labels)).values == scores_of(batch_of([5, 9], truth=boxes)).values


def test_boxes_that_reach_into_the_padding_are_cut_at_the_image():
    found = [(9, 20, 30, 4000, 200, 0.9, 0)]
    cut = [(9, 20, 30, 180, 200, 0.9, 0)]
    assert scores_of(batch_of([9], found=found)).values == scores_of(batch_of([9], found=cut)).values


def test_what_is_found_in_the_black_beside_an_image_is_nothing():
    right = [(9, 20, 30, 150, 200, 0.9, 0)]
    beside = [(9, 250, 30, 60, 80, 0.95, 0), (9, 200, 0, 600, 400, 0.99, 0)]
    assert scores_of(batch_of([9], found=right + beside)).values == scores_of(batch_of([9], found=right)).values


@pytest.mark.parametrize("size", [Size(96, 128), Size(64, 64)])
def test_who_finds_all_boxes_of_a_data_set_has_an_ap_of_one(size):
    scenes = load_detection_dataset("fashion_mnist_scenes")
    precision = AveragePrecision()
    for _, labels in evaluation_batches(scenes, "test[:40]", batch_size=16, size=size).as_numpy_iterator():
        count = (labels["classes"] >= 0).sum(axis=1)
        found = {"boxes": labels["boxes"], "classes": labels["classes"], "count": count}
        precision.update({**found, "scores": np.full(labels["classes"].shape, 0.5)}, labels)
    scores = precision.result()
    assert scores.images == 40
    assert scores.values["ap"] == scores.values["ap75"] == scores.values["ar100"] == 1.0


class Processes:
    """Sums arrays over threads that stand for processes."""

    def __init__(self, count):
        self._barrier, self._given = threading.Barrier(count), {}

    def total(self, values):
        self._given[threading.get_ident()] = values
        self._barrier.wait()
        summed = sum(self._given.values())
        self._barrier.wait()
        return summed


@pytest.mark.parametrize("shares", [[[9], [5]], [[], [5, 9]], [[5], [], [9]]])
def test_processes_that_share_images_all_get_the_scores_of_one(shares):
    whole = scores_of(batch_of([5, 9]))
    processes, results = Processes(len(shares)), {}

    def run(index):
        precision = AveragePrecision()
        for image in shares[index]:
            precision.update(*batch_of([image]))
        precision.share(processes.total)
        results[index] = precision.result()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(shares))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [results[index] for index in range(len(shares))] == [whole] * len(shares)


def test_a_single_process_shares_with_itself():
    precision = AveragePrecision()
    precision.update(*batch_of([5, 9]))
    precision.share(lambda values: values)
    assert precision.result() == scores_of(batch_of([5, 9]))


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr("ofar_tf.tasks.detection.average_precision.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'ofar_tf\[detection\]'"):
        AveragePrecision()
