import dataclasses
import io
import zipfile

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from ofar_tf.tflite.flatbuffer_file import read_model, write_model
from ofar_tf.tflite.metadata import FileMetadata, read_metadata, read_tables, read_training_images, with_metadata
from ofar_tf.tflite.network_file import TFLiteNetwork

ABOUT = FileMetadata(
    name="net_r16",
    description="Three colours.",
    version="2.1",
    license="CC BY 4.0",
    author="Ada",
    labels=("red", "Grün, oder so", "蓝色"),
)


@pytest.fixture(scope="module")
def labelled(converted, tmp_path_factory):
    """Gives the network's file of a precision with metadata."""
    folder = tmp_path_factory.mktemp("labelled")

    def file(precision):
        path = folder / f"{precision}.tflite"
        path.write_bytes(with_metadata(converted(precision).read_bytes(), ABOUT))
        return path

    return file


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_file_with_metadata_computes_what_it_did(precision, converted, labelled, images):
    expected = TFLiteNetwork(converted(precision)).run(images)
    np.testing.assert_array_equal(TFLiteNetwork(labelled(precision)).run(images), expected)


def test_a_file_says_what_it_was_told(labelled):
    assert read_metadata(labelled("int8")) == ABOUT


def test_what_the_makers_left_open_is_read_back_as_such(converted, tmp_path):
    silent = FileMetadata(name="net", labels=("a", "b", "c"))
    (tmp_path / "net.tflite").write_bytes(with_metadata(converted("float32").read_bytes(), silent))
    assert read_metadata(tmp_path / "net.tflite") == silent
    assert silent.license == "Not stated" and not {"author", "description"} & set(
        read_tables(read_model((tmp_path / "net.tflite").read_bytes()))
    )


def test_floats_go_in_unnormalized_and_bytes_need_no_word_about_it(labelled):
    def image_of(precision):
        (subgraph,) = read_tables(read_model(labelled(precision).read_bytes()))["subgraphs"]
        (image,) = subgraph["inputs"]
        return image

    # The types of the unions, in the public schema: NormalizationOptions is 1, ImageProperties 2; RGB is 1.
    assert image_of("float32")["process_units"] == [{"type": 1, "options": {"mean": [0.0], "std": [1.0]}}]
    assert "process_units" not in image_of("int8")
    for precision in ("float32", "int8"):
        assert image_of(precision)["content"] == {"type": 2, "properties": {"color_space": 1}}
        assert image_of(precision)["description"] == "An RGB image of 16x16 pixels with values in 0..255."


def test_the_labels_are_one_uncompressed_text_file_at_the_end(labelled):
    with zipfile.ZipFile(labelled("float32")) as archive:
        (entry,) = archive.infolist()
        assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read(entry).decode() == "red\nGrün, oder so\n蓝色\n"
        assert entry.header_offset > 0.5 * labelled("float32").stat().st_size


def test_metadata_given_again_replace_the_old_ones(converted):
    content = converted("int8").read_bytes()
    other = dataclasses.replace(ABOUT, name="other", labels=("x", "y", "z"))
    assert with_metadata(with_metadata(content, other), ABOUT) == with_metadata(content, ABOUT)


def test_a_file_without_metadata_or_without_labels_is_refused(converted, labelled, tmp_path):
    with pytest.raises(ValueError, match=r"Expected a TFLite file with metadata. Received: a file without."):
        read_metadata(converted("float32"))
    path, content = tmp_path / "cut.tflite", labelled("float32").read_bytes()
    path.write_bytes(content[: zipfile.ZipFile(io.BytesIO(content)).infolist()[0].header_offset])
    with pytest.raises(ValueError, match=r"Expected a file with labels for its output. Received: .*cut.tflite, "):
        read_metadata(path)


@pytest.mark.parametrize("said", [b"7", b"x", b"\xff", None])
def test_what_a_file_says_of_its_images_is_read_strictly(converted, tmp_path, said):
    (tmp_path / "net.tflite").write_bytes(converted("float32").read_bytes())
    assert read_training_images(tmp_path / "net.tflite") == (None, 8)
    model = read_model(converted("float32").read_bytes())
    model.metadata = [schema.MetadataT(name="OFAR_DEPTH", buffer=len(model.buffers))]
    if said is not None:
        model.buffers.append(schema.BufferT(data=np.frombuffer(said, np.uint8)))
    (tmp_path / "net.tflite").write_bytes(write_model(model))
    with pytest.raises(ValueError, match=r"^Expected an exported file\. Received: .*net\.tflite \("):
        read_training_images(tmp_path / "net.tflite")


def test_labels_for_other_classes_are_refused(converted):
    with pytest.raises(ValueError, match=r"Expected a label for each of 3 classes. Received: 2 labels."):
        with_metadata(converted("float32").read_bytes(), dataclasses.replace(ABOUT, labels=("a", "b")))


@pytest.mark.parametrize("changes", [{"name": " "}, {"labels": ("a\nb",)}, {"labels": ("",)}])
def test_metadata_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValueError, match=r"^Expected .* Received: "):
        dataclasses.replace(ABOUT, **changes)
