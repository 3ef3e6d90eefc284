import json
import os
import struct
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf import flags
from ofar_tf.shipping.photographs import find_images, picture_paths, read_image
from ofar_tf.shipping.predict_config import PredictConfig
from ofar_tf.shipping.prediction import (
    Detector,
    as_json,
    as_text,
    open_network,
    predict,
    read_labels,
)
from ofar_tf.text.size import Size
from ofar_tf.tflite.metadata import FileMetadata, with_metadata
from ofar_tf.tflite.tensor_info import TensorInfo


@pytest.fixture(scope="module")
def folder(tmp_path_factory, images):
    """Four images in two folders, beside things that are none."""
    root = tmp_path_factory.mktemp("photos")
    for name, image in zip(("b/2.png", "a/1.jpg", "a/3.PNG", "4.png"), images, strict=False):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        encode = tf.io.encode_jpeg if path.suffix == ".jpg" else tf.io.encode_png
        path.write_bytes(encode(tf.cast(image, tf.uint8)).numpy())
    (root / "notes.txt").write_text("none")
    (root / ".hidden.png").write_text("none")
    os.mkfifo(root / "fifo.png")
    (root / "a" / "round").symlink_to(root)
    (root / "zero.png").symlink_to("/dev/zero")
    return root


def test_images_are_found_in_order_and_nothing_else_is_opened(folder):
    assert [str(path.relative_to(folder)) for path in find_images(folder)] == ["4.png", "a/1.jpg", "a/3.PNG", "b/2.png"]
    assert find_images(folder / "4.png") == [folder / "4.png"]


@pytest.mark.parametrize("name", ["fifo.png", "zero.png"])
def test_what_is_no_file_is_refused_unopened(folder, name):
    with pytest.raises(ValueError, match=rf"^Expected an image file\. Received: .*{name}, which is none\.$"):
        find_images(folder / name)
    with pytest.raises(ValueError, match="Expected an image file"):
        read_image(folder / name, resolution=8)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_file_says_what_keras_says(precision, converted, network, folder):
    exported = open_network(converted(precision))
    paths = find_images(folder)
    found = list(predict(exported, paths, labels=["red", "green", "blue"], top=2))
    pixels = np.stack([read_image(path, resolution=16) for path in paths])
    expected = network.predict(pixels, verbose=0)
    assert [prediction.image for prediction in found] == paths
    for prediction, scores in zip(found, expected, strict=True):
        assert len(prediction.labels) == 2
        assert prediction.labels[0][1] == pytest.approx(scores.max(), abs=0.06)
        if precision == "float32":
            assert prediction.labels[0][0] == ["red", "green", "blue"][scores.argmax()]


def test_a_keras_file_says_the_same(network, folder, tmp_path):
    network.save(tmp_path / "net.keras")
    exported = open_network(tmp_path / "net.keras")
    pixels = read_image(folder / "4.png", resolution=16)[np.newaxis]
    np.testing.assert_allclose(exported.scores(pixels), network.predict(pixels, verbose=0), atol=1e-6)


def test_a_dark_image_of_16_bits_is_as_dark_as_among_those_of_training(converted, network, tmp_path):
    # By itself it would be taken for one of 10 bits, and be four times as bright as in a set whose images have 12.
    pixels = np.random.default_rng(0).integers(0, 1000, (16, 16, 3)).astype(np.uint16)
    (tmp_path / "dark.png").write_bytes(tf.io.encode_png(pixels).numpy())
    file = tmp_path / "net.tflite"
    for depth in (8, 12, 16):
        about = FileMetadata(name="net", labels=("red", "green", "blue"), depth=depth)
        file.write_bytes(with_metadata(converted("float32").read_bytes(), about))
        (found,) = predict(open_network(file), [tmp_path / "dark.png"], labels=about.labels, top=3)
        seen = (pixels >> max(depth, 10) - 8).astype(np.float32)
        expected = dict(zip(about.labels, network.predict(seen[np.newaxis], verbose=0)[0], strict=True))
        assert dict(found.labels) == pytest.approx(expected, abs=1e-5)
    file.write_bytes(file.read_bytes().replace(b"OFAR_DEPTH", b"OFAR_DEPTH"[::-1]))
    assert open_network(file).depth == 8
    with pytest.raises(ValueError, match=r"^Expected values of 8 to 16 bits\. Received: depth=17\.$"):
        FileMetadata(name="net", labels=(), depth=17)


def test_labels_come_from_the_file_the_option_or_the_folder(converted, tmp_path):
    plain = tmp_path / "export" / "net" / "net.tflite"
    plain.parent.mkdir(parents=True)
    content = converted("float32").read_bytes()
    plain.write_bytes(content)
    assert read_labels(plain, given=None, classes=3) == ("class 0", "class 1", "class 2")
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):  # As editors save it.
        (tmp_path / "export" / "labels.txt").write_text("a\nb\nc\n", encoding=encoding)
        assert read_labels(plain, given=None, classes=3) == ("a", "b", "c")
    plain.write_bytes(with_metadata(content, FileMetadata(name="net", labels=("x", "y", "z"))))
    assert read_labels(plain, given=None, classes=3) == ("x", "y", "z")
    (tmp_path / "mine.txt").write_text("1\n2\n")
    with pytest.raises(ValueError, match=r"^Expected 3 class names, one for each output of .* Received: 2\.$"):
        read_labels(plain, given=tmp_path / "mine.txt", classes=3)


def png_of(width, height):
    """A whole PNG of a few bytes that unpacks to as much as its header says."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            png_of(300_000, 300_000),
            r"of at most 178 million pixels\. Received: .*, of 300000x300000\.$",
        ),
        (png_of(8, 8), r"^Expected a readable image\. Received: .*\.$"),
        (b"", "^Expected a JPEG, PNG, GIF, BMP or WebP image"),
        (b"<svg/>", r"^Expected a JPEG, PNG, GIF, BMP or WebP image\. Received: .*, an SVG drawing\.$"),
    ],
)
def test_an_image_that_cannot_be_read_is_named_in_one_line(content, message, tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_image(path, resolution=8)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_classifiers_are_refused(tmp_path):
    for name, content, message in [
        ("a.tflite", b"", "Expected a file that LiteRT can run"),
        ("b.tflite", b"\x00" * 64, "Expected a file that LiteRT can run"),
        ("c.keras", b"PK", "Expected a .keras file that Keras can read"),
        ("d.onnx", b"", "Expected a .tflite or .keras file"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message) as caught:
            open_network(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="which does not exist or is no file"):
        open_network(tmp_path / "none.tflite")


class Found:
    """A file of detections that finds one thing at the upper left half of what is not beside the image."""

    input = TensorInfo("image", "float32", (1, 32, 32, 3), (0.0, 255.0))

    def run(self, images):
        assert images.shape == (1, 32, 32, 3)
        return {
            "boxes": np.array([[[0.0, 0.0, 0.25, 0.5], [0.0, 0.0, 1.0, 1.0]]], np.float32),
            "classes": np.array([[1.0, 7.0]], np.float32),
            "scores": np.array([[0.9, 0.2]], np.float32),
            "count": np.array([2.0], np.float32),
        }


def test_boxes_of_a_detector_are_in_pixels_of_the_image(tmp_path):
    # 40 x 80 pixels cover the upper half of a canvas of 32 x 32, so a quarter of the canvas is half of the image.
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(np.zeros((40, 80, 3), np.uint8)).numpy())
    detector = Detector(Found(), tmp_path / "net.tflite")
    found = detector.look(tmp_path / "a.png", labels=["ant", "bee"], min_score=0.3, picture=tmp_path / "out" / "a.png")
    assert [label for label, _ in found.labels] == ["bee"]
    assert found.boxes == ((0.0, 0.0, 20.0, 40.0),)
    assert as_text(found) == f"{tmp_path / 'a.png'}: bee 90.0% at 0,0-40,20"
    assert json.loads(as_json(found))["labels"][0]["box"] == [0.0, 0.0, 20.0, 40.0]
    assert (tmp_path / "out" / "a.png").read_bytes().startswith(b"\x89PNG")
    every = detector.look(tmp_path / "a.png", labels=["ant", "bee"], min_score=0.1)
    assert [label for label, _ in every.labels] == ["bee", "class 7"]
    assert as_text(detector.look(tmp_path / "a.png", labels=[], min_score=0.95)).endswith(": nothing found")


def test_nothing_is_found_in_the_black_beside_an_image(tmp_path):
    # 40 x 80 pixels cover the upper half of the canvas.
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(np.zeros((40, 80, 3), np.uint8)).numpy())
    network = Found()
    beside = np.array([[[0.5, 0.1, 0.9, 0.9], [0.4, 0.0, 1.0, 0.5]]], np.float32)
    network.run = lambda images: {**Found.run(network, images), "boxes": beside}
    found = Detector(network, tmp_path / "net.tflite").look(tmp_path / "a.png", labels=["ant", "bee"], min_score=0.1)
    assert [label for label, _ in found.labels] == ["class 7"]
    np.testing.assert_allclose(found.boxes, [(32.0, 0.0, 40.0, 40.0)], atol=1e-4)


def test_a_detector_sees_an_image_as_it_was_measured_on_it_whatever_the_aspect_of_its_size(tmp_path):
    # 40 x 80 pixels fill a canvas of 16 x 32; the file sees this as 32 x 32, twice as high.
    pixels = np.random.default_rng(0).integers(0, 256, (40, 80, 3)).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(pixels).numpy())
    seen = []
    network = Found()
    network.run = lambda images: seen.append(images) or Found.run(network, images)
    detector = Detector(network, tmp_path / "net.tflite", canvas=Size(16, 32))
    found = detector.look(tmp_path / "a.png", labels=["ant", "bee"], min_score=0.3)
    assert found.boxes == ((0.0, 0.0, 10.0, 40.0),)
    canvas = tf.image.resize(pixels, (16, 32), antialias=True)
    np.testing.assert_allclose(seen[0][0], tf.image.resize(canvas, (32, 32)), atol=1e-3)


def test_no_picture_takes_the_place_of_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = [Path("a/x.png"), Path("a/x.jpg"), tmp_path / "b" / "x.png", Path("a/../c/y.png")]
    pictures = picture_paths(images, Path("out"))
    expected = ["a/x.png_found.png", "a/x.jpg_found.png", "b/x_found.png", "c/y_found.png"]
    assert [pictures[image] for image in images] == [Path("out") / name for name in expected]
    assert picture_paths(images[:1], Path("out")) == {images[0]: Path("out/x_found.png")}


def test_a_detectors_file_that_gives_no_detections_is_refused(tmp_path):
    image = keras.Input((8, 8, 3))
    outputs = {name: keras.layers.Identity(name=name)(image) for name in ("boxes", "scores")}
    keras.Model(image, outputs).save(tmp_path / "net.keras")
    with pytest.raises(ValueError, match=r"^Expected a detector's \.tflite file of detections, .* of all anchors\.$"):
        open_network(tmp_path / "net.keras")


def test_the_command_needs_both():
    with pytest.raises(ValueError, match=r"^Expected --file, an exported file\. Received: none\.$"):
        PredictConfig(images=("x",))
    with pytest.raises(ValueError, match=r"^Expected images or a folder\. Received: none\.$"):
        PredictConfig(file="x")


@pytest.mark.parametrize(
    ("arguments", "images"),
    [
        (["a.jpg"], ("a.jpg",)),
        (["a.jpg", "b, c.jpg", "folder"], ("a.jpg", "b, c.jpg", "folder")),
        (["--images=b, c.jpg"], ("b, c.jpg",)),
    ],
)
def test_the_images_are_all_arguments_that_are_no_flags(arguments, images):
    assert flags.read(PredictConfig, ["--file=x", *arguments], positional="images").images == images


def test_images_are_named_by_their_flag_or_without_it():
    with pytest.raises(ValueError, match=r"and one argument for --images\. Received: 'b.jpg' as well\.$"):
        flags.read(PredictConfig, ["--file=x", "--images=a.jpg", "b.jpg"], positional="images")
