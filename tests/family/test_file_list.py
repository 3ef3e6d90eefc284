import csv

import pytest

from ofar_tf.checks.layer_error import LayerError
from ofar_tf.family.file_list import write_file_list
from ofar_tf.family.manifest import Manifest
from ofar_tf.family.measured_latency import prediction_misses
from ofar_tf.tflite.latency import Latency, PredictedLatency


@pytest.fixture
def rows(make_entry, header, tmp_path):
    worst = LayerError("stem", "CONV_2D", 0.2, 0.1)
    models = (
        make_entry(
            "large",
            macs=300,
            top1=0.9,
            arena_bytes=2048,
            gpu_refused={},
            latency=(Latency("phone", 4, 1.5),),
            predicted=PredictedLatency("phone", 4, 1.4, 0.05),
        ),
        make_entry("large", macs=300, top1=0.8, quantization="int8", gpu_refused={"ADD": "no"}, layer_errors=(worst,)),
        make_entry("small", macs=100, top1=0.5, metrics=None, reasons=("It is bad.",)),
    )
    write_file_list(tmp_path / "files.csv", Manifest(**vars(header), models=models))
    with (tmp_path / "files.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_file_has_a_row(rows):
    assert [row["file"] for row in rows] == [
        "large/large_float32.tflite",
        "large/large_int8.tflite",
        "small/small_float32.tflite",
    ]
    assert "arena_bytes" not in rows[0]  # It leaves XNNPACK's memory out, and would mislead beside the others.
    assert [row["gpu_refused"] for row in rows] == ["", "ADD", ""]
    assert [row["worst_layer"] for row in rows] == ["", "stem", ""]
    assert [(row["top1"], row["passed"]) for row in rows] == [("0.9", "True"), ("0.8", "True"), ("", "False")]


def test_each_device_has_its_columns(rows):
    assert [row["ms on phone, threads=4"] for row in rows] == ["1.5", "", ""]
    assert {row["p90 ms on phone, threads=4"] for row in rows} == {""}


def test_predictions_are_held_against_what_was_measured_at_the_same_place(make_entry):
    predicted, measured = PredictedLatency("phone", 4, 3.0, 0.05), Latency("phone", 4, 4.0)
    files = [
        make_entry("one", macs=300, top1=0.9, predicted=predicted, latency=(Latency("laptop", 1, 9.0), measured)),
        make_entry("two", macs=300, top1=0.9, predicted=predicted, latency=(Latency("phone", 1, 9.0),)),
        make_entry("three", macs=300, top1=0.9, latency=(measured,)),
    ]
    assert prediction_misses(files) == [0.25]


def test_predicted_latency_stands_behind_the_measured_one(rows):
    assert [row["predicted ms on phone, threads=4"] for row in rows] == ["1.4", "", ""]
    assert [name for name in rows[0] if "phone" in name] == [
        "ms on phone, threads=4",
        "p90 ms on phone, threads=4",
        "predicted ms on phone, threads=4",
    ]
