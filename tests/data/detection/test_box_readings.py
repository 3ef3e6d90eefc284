import json

import numpy as np
import pytest

from ofar_tf.data.detection import load_detection_dataset
from ofar_tf.data.detection.box_readings import CENTRED, CORNERS, SIZED, are_shares, other_reading

from .conftest import write_png

HEIGHT, WIDTH = 60, 100
SIZES = np.tile([[HEIGHT, WIDTH]], [200, 1])
WAYS = {
    SIZED: lambda top, left, bottom, right: (left, top, right - left, bottom - top),
    CORNERS: lambda top, left, bottom, right: (left, top, right, bottom),
    CENTRED: lambda top, left, bottom, right: ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top),
}


def some_boxes(seed=0, count=200):
    """Boxes anywhere in images of 60 x 100 pixels: top, left, bottom, right."""
    random = np.random.default_rng(seed)
    sides = random.uniform(0.05, 0.5, (count, 2)) * (HEIGHT, WIDTH)
    corner = random.uniform(size=(count, 2)) * ((HEIGHT, WIDTH) - sides)
    return np.concatenate([corner, corner + sides], axis=1)


def read(numbers, way):
    first, second, third, fourth = np.transpose(numbers)
    if way == CORNERS:
        return np.stack([second, first, fourth, third], axis=1)
    if way == SIZED:
        return np.stack([second, first, second + fourth, first + third], axis=1)
    return np.stack([second - fourth / 2, first - third / 2, second + fourth / 2, first + third / 2], axis=1)


@pytest.mark.parametrize("read_as", WAYS)
@pytest.mark.parametrize("written", WAYS)
@pytest.mark.parametrize("rows_first", [False, True])
def test_boxes_that_were_written_in_another_way_are_told(written, read_as, rows_first):
    numbers = np.array([WAYS[written](*box) for box in some_boxes()])
    if rows_first:
        numbers = numbers[:, [1, 0, 3, 2]]
    found = other_reading(read(numbers, read_as), SIZES, read_as=read_as)
    if written == read_as and not rows_first:
        assert found is None
    else:
        names = {SIZED: "top, left, height, width", CORNERS: "top, left, bottom, right"}
        names[CENTRED] = "y and x of the centre, height, width"
        assert found is not None and found[1] == (names[written] if rows_first else written)


@pytest.mark.parametrize("read_as", WAYS)
@pytest.mark.parametrize("larger", [0, 3, 20])
def test_boxes_that_are_drawn_too_large_are_what_they_are(read_as, larger):
    assert other_reading(some_boxes(1) + np.array([-larger, -larger, larger, larger]), SIZES, read_as=read_as) is None


@pytest.mark.parametrize("read_as", WAYS)
def test_things_that_fill_their_images_and_are_drawn_a_little_too_large_are_what_they_are(read_as):
    # As left, top, right, bottom their left, top, width and height would fit.
    boxes = np.tile([[2.0, 3.0, HEIGHT + 2.0, WIDTH + 3.0]], [200, 1])
    assert other_reading(boxes, SIZES, read_as=read_as) is None


def test_few_boxes_that_leave_their_images_say_nothing():
    boxes = some_boxes(2)
    boxes[:30] = [20.0, 40.0, 70.0, 140.0]
    assert other_reading(boxes, SIZES, read_as=SIZED) is None
    assert other_reading(boxes[:3], SIZES[:3], read_as=SIZED) is None
    assert other_reading(np.zeros((0, 4)), SIZES[:0], read_as=SIZED) is None


def test_shares_are_no_pixels():
    shares = some_boxes() / (HEIGHT, WIDTH, HEIGHT, WIDTH)
    assert are_shares(shares, SIZES) and not are_shares(some_boxes(), SIZES) and not are_shares(shares[:0], SIZES[:0])


def write_coco(folder, boxes):
    write_png(folder / "images" / "0.png", height=HEIGHT, width=WIDTH)
    annotations = [{"id": index, "image_id": 0, "category_id": 1, "bbox": list(box)} for index, box in enumerate(boxes)]
    images = [{"id": 0, "file_name": "0.png", "height": HEIGHT, "width": WIDTH}]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ant"}]}
    (folder / "a.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (1.0, r"^Expected boxes as left, top, width, height in .*a.json. Received: \d+ of 200 that leave .* if the "
         r"numbers are left, top, right, bottom\.$"),
        (0.01, r"^Expected boxes in pixels in .*a.json. Received: none that reaches beyond the second pixel"),
    ],
)  # fmt: skip
def test_files_with_such_boxes_are_refused_in_one_line(tmp_path, scale, message):
    corners = [WAYS[CORNERS](*box) for box in (scale * some_boxes()).tolist()]
    with pytest.raises(ValueError, match=message) as caught:
        load_detection_dataset("coco_folder", data_dir=write_coco(tmp_path, corners))
    assert "\n" not in str(caught.value)


def test_yolos_lines_of_corners_are_refused_and_those_of_centres_are_read(tmp_path):
    write_png(tmp_path / "images" / "0.png", height=HEIGHT, width=WIDTH)
    (tmp_path / "labels").mkdir()
    (tmp_path / "classes.txt").write_text("ant\n")
    shares = some_boxes() / (HEIGHT, WIDTH, HEIGHT, WIDTH)
    for way in (CENTRED, CORNERS):
        lines = ("0 " + " ".join(f"{number:.6f}" for number in WAYS[way](*box)) for box in shares)
        (tmp_path / "labels" / "0.txt").write_text("\n".join(lines))
        if way == CENTRED:
            found = load_detection_dataset("yolo_folder", data_dir=tmp_path).annotations("all").boxes
            np.testing.assert_allclose(found, shares, atol=1e-5)
        else:
            with pytest.raises(ValueError, match=r"if the numbers are left, top, right, bottom\.$"):
                load_detection_dataset("yolo_folder", data_dir=tmp_path)


def test_a_thing_that_is_marked_twice_is_there_once(tmp_path):
    boxes = [[1, 2, 30, 20], [1, 2, 30, 20], [40, 2, 30, 20], [1, 2, 30, 20.5]]
    dataset = load_detection_dataset("coco_folder", data_dir=write_coco(tmp_path, boxes))
    assert dataset.annotations("all").counts.tolist() == [3]
    assert dataset.notes == ("1 boxes of 'all' repeat another of their image and class; they were left out.",)
