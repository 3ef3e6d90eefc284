"""What MediaPipe's ObjectDetector makes of TFLite files; started by `test_mediapipe_detector`, as its sibling is.

python mediapipe_detections.py IMAGES.npy FILE.tflite [FILE.tflite ...]

Prints one JSON object: for each file its detections of each image, as [name, score, top, left, bottom, right], or why
MediaPipe refuses it.
"""

import json
import sys

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def answer(path, images):
    options = vision.ObjectDetectorOptions(
        base_options=BaseOptions(model_asset_path=path), score_threshold=0.05, max_results=100
    )
    try:
        detector = vision.ObjectDetector.create_from_options(options)
    except Exception as error:  # It turns each of its own kinds of errors into another of Python's.
        return {"refused": str(error)}
    with detector:
        pictures = [mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image) for image in images]
        return {"detections": [list(rows(detector.detect(picture).detections)) for picture in pictures]}


def rows(detections):
    """Yields one row for each class of each box: raw outputs have several."""
    for detection in detections:
        box = detection.bounding_box
        sides = (box.origin_y, box.origin_x, box.origin_y + box.height, box.origin_x + box.width)
        for category in detection.categories:
            yield [category.category_name, category.score, *sides]


print(json.dumps({path: answer(path, np.load(sys.argv[1])) for path in sys.argv[2:]}))
