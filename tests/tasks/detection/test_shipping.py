import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.checks.file_check import check_file
from ofar_tf.checks.networks import tflite_run
from ofar_tf.conversion.network_parts import split
from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.ending import DetectionEnding
from ofar_tf.text.size import Size
from ofar_tf.tflite import metadata_tables as tables
from ofar_tf.tflite.flatbuffer_file import read_model
from ofar_tf.tflite.metadata import read_metadata, read_tables, read_training_images
from ofar_tf.tflite.network_file import TFLiteNetwork
from tests.tasks.detection.small_detector import CANVAS, HEIGHT, NAMES, TASK, WIDTH, build, make_pictures, write_files

SIZE = Size(HEIGHT, WIDTH)
KINDS = (("float32", "detections"), ("float32", "raw"), ("int8", "detections"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("detector"), KINDS)


@pytest.fixture(scope="module")
def pictures():
    return make_pictures().astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_a_detectors_file_passes_its_checks_and_names_its_outputs(made, pictures, kind):
    network, files = made
    checks = check_file(files[kind], network, pictures, task=TASK, tolerance=1e-3 if kind[0] == "float32" else None)
    assert checks.reasons == () and checks.builtin_only and checks.static_shape
    file = TFLiteNetwork(files[kind], ranges=TASK.output_ranges)
    shapes = {each.name: (each.dtype, each.shape) for each in file.outputs}
    anchors = 9 * (8 * 12 + 4 * 6 + 2 * 3 + 2 + 1)
    if kind[1] == "raw":
        assert shapes == {"boxes": ("float32", (1, anchors, 4)), "scores": ("float32", (1, anchors, 3))}
    else:
        assert set(shapes) == {"boxes", "classes", "scores", "count"} and shapes["boxes"] == ("float32", (1, 100, 4))
    assert file.input.dtype == ("uint8" if kind[0] == "int8" else "float32")


def test_detections_are_those_that_the_raw_outputs_decode_to(made, pictures):
    _, files = made
    found = {}
    for form in ("detections", "raw"):
        with tflite_run(files["float32", form], threads=2) as run:
            found[form] = TASK.detections(run(pictures), size=SIZE)
    assert (found["detections"]["count"] == found["raw"]["count"]).all() and (found["raw"]["count"] > 20).all()
    for name in ("scores", "boxes", "classes"):
        np.testing.assert_allclose(found["detections"][name][:, :20], found["raw"][name][:, :20], atol=1e-4)


def test_the_last_layers_of_an_int8_file_are_floats(made, pictures):
    network, files = made
    with tflite_run(files["int8", "detections"]) as run:
        rounded = run(pictures)
    # A score of eight bits would be a multiple of 1/256.
    assert np.abs(256 * rounded["scores"] - np.rint(256 * rounded["scores"])).max() > 0.1
    expected = TASK.detections({name: np.asarray(each) for name, each in network(pictures).items()}, size=SIZE)
    np.testing.assert_allclose(rounded["scores"][:, 0], expected["scores"][:, 0], atol=0.02)


def test_what_is_cut_in_two_computes_the_same(pictures):
    network = build()
    first, last = split(network, TASK.float_layers)
    assert len(first.output) == 10 and "detector_boxes_last" in {layer.name for layer in last.layers}
    for name, expected in network(pictures).items():
        np.testing.assert_allclose(last(first(pictures))[name], expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"Expected layers of the names absent. Received: none in detector."):
        split(network, ["absent"])


def test_boxes_of_other_classes_are_kept_and_those_beyond_the_edge_are_not():
    anchors = Anchors().boxes(SIZE).numpy()
    scores, deltas = np.zeros((1, len(anchors), 2), np.float32), np.zeros((1, len(anchors), 4), np.float32)
    scores[0, 400] = 0.9, 0.8
    scores[0, 500, 0] = 0.7
    deltas[0, 500, 0] = 99.0  # Far below the image.
    found = DetectionEnding(TASK.anchors, TASK.decoding)(
        {"scores": tf.constant(scores), "boxes": tf.constant(deltas)}, SIZE
    )
    assert found["count"].numpy().tolist() == [2.0] and found["classes"][0, :2].numpy().tolist() == [0.0, 1.0]
    np.testing.assert_allclose(found["boxes"][0, 0], anchors[400].clip(0, 1), atol=1e-6)
    assert not found["boxes"][0, 2:].numpy().any() and not found["scores"][0, 2:].numpy().any()


@pytest.mark.parametrize("size", [SIZE, Size(50, 70)])
def test_the_anchors_of_the_metadata_are_those_of_the_task(size):
    expected = Anchors().boxes(size).numpy()
    sides = expected[:, 2:] - expected[:, :2]
    centres = (expected[:, 2:] + expected[:, :2]) / 2
    found = TASK.metadata("raw").anchors(size.height, size.width)
    np.testing.assert_allclose(found, np.concatenate([centres, sides], axis=1), atol=1e-6)


def test_metadata_say_which_output_is_which(made):
    _, files = made
    raw, decoded = (
        read_tables(read_model(files["float32", form].read_bytes()))["subgraphs"][0] for form in ("raw", "detections")
    )
    assert [output["name"] for output in decoded["outputs"]] == [
        "location",
        "category",
        "score",
        "number of detections",
    ]
    assert decoded["outputs"][0]["content"]["properties"]["index"] == [1, 0, 3, 2]
    assert decoded["outputs"][1]["files"][0]["type"] == tables.VALUE_LABELS and "custom" not in decoded
    assert sorted(output["name"] for output in raw["outputs"]) == ["location", "score"]
    (custom,) = raw["custom"]
    assert custom["name"] == tables.DETECTOR_METADATA and custom["data"][4:8] == tables.DETECTOR_IDENTIFIER
    assert read_metadata(files["float32", "raw"]).labels == NAMES
    for path in files.values():
        assert read_training_images(path) == (CANVAS, 8)
        said = read_tables(read_model(path.read_bytes()))["subgraphs"][0]["inputs"][0]["description"]
        assert said.endswith("values in 0..255. It is made on a canvas of 128x96 pixels, which is resized.")


def test_a_detector_whose_scores_are_of_other_classes_is_refused():
    with pytest.raises(ValueError, match=r"Expected scores of 2 classes. Received: an output of "):
        TASK.check_shipped(build().output_shape, ["a", "b"])
