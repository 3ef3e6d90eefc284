import json
import struct

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data.detection import evaluation_batches, load_detection_dataset
from ofar_tf.data.orientation import upright, upright_boxes
from ofar_tf.text.size import Size

from .conftest import coco

# Stored 40 wide and 20 high, dark but for one bright place: left, top, width, height.
PLACE = (24, 2, 8, 6)


def tagged_jpeg(tag):
    image = np.zeros((20, 40, 3), np.uint8)
    left, top, width, height = PLACE
    image[top : top + height, left : left + width] = 255
    jpeg = bytes(tf.io.encode_jpeg(image, quality=100, chroma_downsampling=False).numpy())
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, tag, 0) + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


@pytest.mark.parametrize("tag", range(1, 9))
def test_boxes_turn_as_their_image_does(tag):
    image = np.zeros((20, 40, 3), np.uint8)
    image[2:8, 24:32] = 255
    seen = upright(tf.constant(image), tf.constant(tag)).numpy()[..., 0] > 0
    box = upright_boxes(np.array([[2 / 20, 24 / 40, 8 / 20, 32 / 40]]), tag)[0] * (seen.shape * 2)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    np.testing.assert_allclose(box, [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], atol=1e-9)


@pytest.mark.parametrize("tag", [1, 5, 6, 7, 8])
@pytest.mark.parametrize("drawn_on", ["stored", "upright"])
def test_boxes_lie_right_whichever_picture_they_were_drawn_on(tmp_path, tag, drawn_on):
    left, top, width, height = PLACE
    bbox, size = [left, top, width, height], {"width": 40, "height": 20}
    if drawn_on == "upright" and tag > 4:
        stored = np.array([[top / 20, left / 40, (top + height) / 20, (left + width) / 40]])
        box = upright_boxes(stored, tag)[0] * [40, 20, 40, 20]
        bbox, size = [box[1], box[0], box[3] - box[1], box[2] - box[0]], {"width": 20, "height": 40}
    (tmp_path / "photo.jpg").write_bytes(tagged_jpeg(tag))
    annotation = {"id": 1, "image_id": 10, "category_id": 3, "bbox": list(map(float, bbox)), "area": 30.0}
    content = {**coco(annotations=[annotation]), "images": [{"id": 10, "file_name": "photo.jpg", **size}]}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    dataset = load_detection_dataset("coco_folder", data_dir=tmp_path)
    images, labels = next(iter(evaluation_batches(dataset, "all", batch_size=1, size=Size(40, 40))))
    assert list(labels["image_size"][0]) == ([40, 20] if tag > 4 else [20, 40])
    seen = images[0, :, :, 0].numpy() > 127
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    np.testing.assert_allclose(
        labels["boxes"][0, 0] * 40.0, [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], atol=1.0
    )
    assert labels["area"][0, 0] == 30.0
