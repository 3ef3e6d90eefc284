"""Detectors in the hands of MediaPipe, see `mediapipe_environment`."""

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.checks.networks import tflite_run
from ofar_tf.data.bundled import bundled_arrays
from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.boxes import decode
from ofar_tf.text.size import Size
from tests.family.mediapipe_environment import NEEDS_MEDIAPIPE, ask
from tests.tasks.detection.small_detector import HEIGHT, NAMES, WIDTH, write_files

pytestmark = NEEDS_MEDIAPIPE
KINDS = [(precision, form) for precision in ("float32", "float16", "int8") for form in ("detections", "raw")]
PIXELS = np.array([HEIGHT, WIDTH, HEIGHT, WIDTH])


@pytest.fixture(scope="module")
def pictures():
    """Photographs of clothes, two rows of three."""
    clothes = bundled_arrays()["test_images"][:24].reshape(4, 2, 3, 28, 28)
    sheet = np.pad(clothes, [(0, 0), (0, 0), (0, 0), (2, 2), (2, 2)]).transpose(0, 1, 3, 2, 4).reshape(4, 64, 96)
    return np.repeat(sheet[..., np.newaxis], 3, axis=-1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("detectors"), KINDS)[1]


@pytest.fixture(scope="module")
def answers(files, pictures, tmp_path_factory):
    found = ask("mediapipe_detections.py", pictures, files, folder=tmp_path_factory.mktemp("pictures"))
    return {kind: each["detections"] for kind, each in found.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_mediapipe_finds_what_the_file_finds(kind, answers, files, pictures):
    with tflite_run(files[kind]) as run:
        outputs = run(pictures)
    if kind[1] == "raw":
        anchors = Anchors().boxes(Size(HEIGHT, WIDTH))
        boxes = np.repeat(np.asarray(decode(tf.constant(outputs["boxes"]), anchors)), len(NAMES), axis=1)
        scores = outputs["scores"].reshape(len(pictures), -1)
        classes = np.tile(np.arange(len(NAMES)), [len(pictures), outputs["scores"].shape[1]])
    else:
        classes, scores, boxes = (outputs[name] for name in ("classes", "scores", "boxes"))
    for index, found in enumerate(answers[kind]):
        assert len(found) > 5 and max(each[1] for each in found) == pytest.approx(scores[index].max(), abs=1e-4)
        for name, score, *sides in found:
            same = np.array(NAMES)[classes[index].astype(int)] == name
            same &= np.abs(scores[index] - score) < 1e-4
            # MediaPipe gives whole pixels. It moves boxes that begin beyond the image to its edge, with their size, of
            # which no more than the image's is left.
            corner, far = np.split(boxes[index] * PIXELS, 2, axis=-1)
            shown = np.concatenate(
                [corner.clip(0, PIXELS[:2]), corner.clip(0, PIXELS[:2]) + np.minimum(far - corner, PIXELS[:2])], axis=-1
            )
            off = np.abs(shown - sides).max(axis=-1)
            assert (same & (off <= 2)).any(), (name, score, sides)
