"""The files in the hands of the library that phones use, see `mediapipe_environment`."""

import numpy as np
import pytest

from ofar_tf.conversion.precision import PRECISIONS
from ofar_tf.tflite.metadata import FileMetadata, with_metadata
from ofar_tf.tflite.network_file import TFLiteNetwork
from tests.family.mediapipe_environment import NEEDS_MEDIAPIPE, ask

pytestmark = NEEDS_MEDIAPIPE

NAMES = [name for name, precision in PRECISIONS.items() if not precision.fine_tuned]
ABOUT = FileMetadata(
    name="net",
    description="Three colours.",
    version="2.1",
    author="Ada",
    license="CC0",
    labels=("red", "Grün, ja", "蓝"),
)


@pytest.fixture(scope="module")
def pictures(images):
    return images.round().astype(np.uint8)


@pytest.fixture(scope="module")
def files(converted, tmp_path_factory):
    """A file of each precision with metadata, and two without."""
    folder = tmp_path_factory.mktemp("mediapipe")
    paths = {name: folder / f"{name}.tflite" for name in NAMES}
    for name, path in paths.items():
        path.write_bytes(with_metadata(converted(name).read_bytes(), ABOUT))
    return {**paths, "bare float32": converted("float32"), "bare int8": converted("int8")}


@pytest.fixture(scope="module")
def answers(files, pictures, tmp_path_factory):
    """What MediaPipe answers to each file."""
    return ask("mediapipe_answers.py", pictures, files, folder=tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize("name", NAMES)
def test_mediapipe_gives_the_right_names_and_scores(name, answers, files, pictures):
    expected = TFLiteNetwork(files[name]).run(pictures)
    assert len(answers[name]["categories"]) == len(pictures) and np.ptp(expected, axis=0).min() > 0.2
    # One step of an 8-bit score, in case MediaPipe's LiteRT rounds otherwise; floats may be summed in another order.
    tolerance = 1 / 256 if name.startswith("int8") else 1e-5
    for categories, scores in zip(answers[name]["categories"], expected, strict=True):
        assert {index: label for index, label, _ in categories} == dict(enumerate(ABOUT.labels))
        by_class = [score for _, _, score in sorted(categories)]
        np.testing.assert_allclose(by_class, scores, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_mediapipes_schema_reads_what_ours_wrote(name, answers):
    assert answers[name]["metadata"] == ["net", "Three colours.", "2.1", "Ada", "CC0", "labels.txt"]


def test_without_metadata_mediapipe_refuses_floats_and_knows_no_names(answers):
    # The metadata are what makes the difference above.
    assert "it requires specifying NormalizationOptions metadata" in answers["bare float32"]["refused"]
    assert {label for categories in answers["bare int8"]["categories"] for _, label, _ in categories} == {None}
