import dataclasses
import json
import re
import subprocess
import sys

import pytest

from ofar_tf.conversion.member import file_id
from ofar_tf.family.manifest import Manifest, read_manifest, write_manifest
from ofar_tf.tasks.classification.accuracy import accuracy
from ofar_tf.tflite.latency import Latency, PredictedLatency
from ofar_tf.tflite.tensor_info import TensorInfo


@pytest.fixture
def manifest(make_entry, header):
    large = make_entry(
        "large",
        macs=300,
        top1=0.9,
        quantization="int8",
        input=TensorInfo("image", "uint8", (1, 16, 16, 3), (0.0, 255.0), scale=1.0, zero_point=0),
        latency=(Latency("this machine", 1, 2.5, 3.0),),
        pareto=True,
    )
    small = make_entry("small", macs=100, top1=0.5, reasons=("It is bad.",), metrics=None)
    return Manifest(**vars(header), models=(large, small))


def test_a_manifest_is_read_as_it_was_written(manifest, tmp_path):
    write_manifest(tmp_path / "manifest.json", manifest)
    assert read_manifest(tmp_path / "manifest.json") == manifest


def test_a_predicted_latency_is_written_only_where_there_is_one(manifest, tmp_path):
    predicted = PredictedLatency("phone", 4, 5.0, 0.05)
    large, small = manifest.models
    changed = dataclasses.replace(manifest, models=(dataclasses.replace(large, predicted=predicted), small))
    write_manifest(tmp_path / "manifest.json", changed)
    assert read_manifest(tmp_path / "manifest.json") == changed
    first, second = json.loads((tmp_path / "manifest.json").read_text())["models"]
    assert first["predicted"] == {"device": "phone", "threads": 4, "ms": 5.0, "error": 0.05}
    assert "predicted" not in second  # Version 0.1.0 reads it.


def test_the_keys_are_those_of_the_design(manifest, tmp_path):
    write_manifest(tmp_path / "manifest.json", manifest)
    data = json.loads((tmp_path / "manifest.json").read_text())
    assert list(data) == ["schema_version", "versions", "git", "dataset", "seed", "created", "models"]
    assert " ".join(data["models"][0]) == (
        "id path sha256 bytes structure rate resolution macs params quantization input output labels metrics checks "
        "parity arena_bytes gpu_refused layer_errors latency pareto top1_interval"
    )
    assert list(data["models"][0]["input"]) == ["name", "dtype", "shape", "range", "scale", "zero_point"]
    assert data["models"][0]["metrics"] == {"top1": 0.9, "top5": 1.0, "images": 200, "keras_top1": 0.9}
    assert data["models"][1]["checks"]["passed"] is False


def changed(*path, value):
    """Gives a function that sets one value deep in parsed JSON."""

    def change(data):
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("schema_version", value=2), "Expected schema_version=1 in FILE. Received: 2."),
        (
            changed("models", 0, "macs", value="1"),
            "Expected a value of type int at FILE.models[0].macs. Received: '1'.",
        ),
        (
            changed("models", 0, "macs", value=True),
            "Expected a value of type int at FILE.models[0].macs. Received: True.",
        ),
        (changed("models", 0, "rate", value=None), "Expected a number at FILE.models[0].rate. Received: None."),
        (changed("models", 0, "rate", value=1.5), "Expected a pruning rate in [0, 1). Received: rate=1.5 of large."),
        (changed("models", 0, "id", value="a-b"), "Expected an id of lower case letters, digits and underscores. Re"),
        (
            changed("models", 0, "bytes", value=0),
            "Expected positive bytes, macs and params. Received: 0, 300, 100 of",
        ),
        (
            changed("models", 0, "metrics", value=None),
            "Expected metrics of a file that passed its checks. Received: none",
        ),
        (
            changed("models", 0, "checks", "runs", value=False),
            "Expected a file that passes exactly if nothing is wrong",
        ),
        (changed("models", 0, "input", "range", value=[0]), "Expected a list of 2 at FILE.models[0].input.range. Rece"),
        (
            changed("models", 1, "macs", value=301),
            "Expected the models with the most MACs first. Received: [300, 301].",
        ),
        (changed("models", value={}), "Expected a list at FILE.models. Received: {}."),
        (changed("versions", value=[]), "Expected an object at FILE.versions. Received: []."),
        (changed("extra", value=1), "Received: missing=[], unknown=['extra']."),
    ],
)
def test_a_changed_manifest_is_refused_in_one_line(manifest, tmp_path, change, message):
    path = tmp_path / "manifest.json"
    write_manifest(path, manifest)
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=re.escape(message.replace("FILE", str(path)))) as refusal:
        read_manifest(path)
    assert "\n" not in str(refusal.value)


def test_a_missing_key_is_named(manifest, tmp_path):
    write_manifest(tmp_path / "manifest.json", manifest)
    data = json.loads((tmp_path / "manifest.json").read_text())
    del data["models"][0]["sha256"]
    (tmp_path / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"manifest.json.models\[0\]. Received: missing=\['sha256'\], unknown=\[\]."):
        read_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match="Expected"):
        read_manifest(tmp_path / "manifest.json")


def test_a_missing_manifest_is_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"Expected the manifest of a finished export. Received: .*manifest.json"
    ):
        read_manifest(tmp_path / "manifest.json")


def test_the_same_file_twice_is_refused(make_entry, header):
    entry = make_entry("small", macs=100, top1=0.5)
    with pytest.raises(ValueError, match=r"Expected each file once. Received: \['small/small_float32.tflite'\]"):
        Manifest(**vars(header), models=(entry, entry))


def test_another_schema_version_is_refused(header):
    with pytest.raises(ValueError, match=r"Expected schema_version=1. Received: schema_version=2."):
        dataclasses.replace(header, schema_version=2)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("mobilenet_v2", "macs107m", 160), "mobilenet_v2_ofar_macs107m_r160"),
        (("ResNet-20", "rate0.25", 32), "resnet_20_ofar_rate0_25_r32"),
        (("my.model", "макс", 8), "my_model_ofar_r8"),
    ],
)
def test_ids_are_names_for_android_assets(parts, expected):
    assert file_id(*parts) == expected


def test_reading_a_manifest_does_not_load_tensorflow():
    code = "import sys, ofar_tf.shipping.selection; print('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_metrics_are_an_accuracy_with_its_parent():
    with pytest.raises(ValueError, match="Expected 0 <= top1"):
        accuracy(top1=2.0, top5=2.0, images=1)
