import dataclasses
import json
from importlib import resources

import jsonschema
import pytest

from ofar_tf.checks.layer_error import LayerError
from ofar_tf.evaluation.network_parity import NetworkParity
from ofar_tf.family.manifest import Manifest, write_manifest
from ofar_tf.family.manifest_schema import schema_text
from ofar_tf.tflite.latency import Latency

SHIPPED = (resources.files("ofar_tf.family") / "manifest.schema.json").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(SHIPPED)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def data(make_entry, header, tmp_path):
    """A manifest in which every optional fact is there once and missing once."""
    full = make_entry(
        "full",
        macs=300,
        top1=0.9,
        arena_bytes=1024,
        gpu_refused={"TILE": "has no kernel"},
        layer_errors=(LayerError("stem", "CONV_2D", 0.2, 0.1),),
        latency=(Latency("laptop", 1, 1.0, 2.0, 3.0, 50), Latency("phone", 4, 1.0)),
    )
    bare = make_entry("bare", macs=100, top1=0.5, reasons=("It is bad.",), metrics=None)
    write_manifest(tmp_path / "manifest.json", Manifest(**vars(header), models=(full, bare)))
    return json.loads((tmp_path / "manifest.json").read_text())


def test_the_schema_that_ships_is_the_one_of_the_code():
    assert schema_text() == SHIPPED, "python -m ofar_tf.family.manifest_schema > ofar_tf/family/manifest.schema.json"


def test_a_manifest_is_valid(validator, data):
    validator.validate(data)


def test_every_field_is_described(validator):
    objects = [validator.schema, *validator.schema["$defs"].values()]
    undescribed = [
        f"{each['title']}.{name}"
        for each in objects
        for name, kind in each["properties"].items()
        if "description" not in kind
    ]
    assert undescribed == []
    assert {each["title"] for each in objects} >= {"Manifest", "ModelEntry", "Latency", "LayerError", "FileChecks"}


def test_the_schema_has_the_fields_of_the_dataclasses(validator):
    parity = validator.schema["$defs"]["NetworkParity"]
    assert list(parity["properties"]) == [field.name for field in dataclasses.fields(NetworkParity)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 2),
        (("models", 0, "macs"), "300"),
        (("models", 0, "macs"), 0),
        (("models", 0, "rate"), 1.0),
        (("models", 0, "id"), "a-b"),
        (("models", 0, "sha256"), "0"),
        (("models", 0, "metrics", "top1"), 1.5),
        (("models", 0, "input", "range"), [0.0]),
        (("models", 0, "input", "range"), [0.0, 1.0, 2.0]),
        (("models", 0, "latency", 0, "median_ms"), 0),
        (("models", 0, "gpu_refused", "TILE"), None),
        (("models", 0, "extra"), 1),
        (("models", 0, "checks"), None),
    ],
)
def test_what_is_no_manifest_is_not_valid(validator, data, path, value):
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not validator.is_valid(data)
