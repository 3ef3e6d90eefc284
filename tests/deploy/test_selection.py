import re

import pytest

from ofar_tf.deploy.manifest import Latency, Manifest
from ofar_tf.deploy.selection import Limits, rank, select


@pytest.fixture(scope="module")
def manifest(make_entry, header):
    phone, tablet = Latency("phone", 4, 8.0, 9.0), Latency("tablet", 4, 12.0, 14.0)
    return Manifest(
        **vars(header),
        models=(
            make_entry("huge", macs=900, top1=0.99, reasons=("Its scores are not finite.",)),
            make_entry("large", macs=400, top1=0.90, bytes=4000, latency=(phone, tablet)),
            make_entry("large", macs=400, top1=0.89, bytes=1100, quantization="int8"),
            make_entry("middle", macs=200, top1=0.85, bytes=3000, latency=(phone,)),
            make_entry("middle", macs=200, top1=0.85, bytes=900, quantization="int8"),
            make_entry("twin", macs=190, top1=0.85, bytes=2000),
            make_entry("small", macs=100, top1=0.70, bytes=500),
        ),
    )


@pytest.mark.parametrize(
    ("limits", "path"),
    [
        ({}, "large/large_float32"),  # huge is more accurate but failed its check
        ({"max_macs": 399}, "twin/twin_float32"),  # as accurate as middle with fewer MACs
        ({"max_macs": 400}, "large/large_float32"),
        ({"max_macs": 399, "max_bytes": 1999}, "middle/middle_int8"),
        ({"max_bytes": 899}, "small/small_float32"),
        ({"quantization": "int8"}, "large/large_int8"),
        ({"max_latency_ms": 12.0}, "large/large_float32"),
        ({"max_latency_ms": 11.9}, "middle/middle_float32"),  # large is slower on the tablet; the rest is unmeasured
        ({"min_top1": 0.86, "max_bytes": 2000}, "large/large_int8"),
    ],
)
def test_the_most_accurate_file_within_the_limits_is_chosen(manifest, limits, path):
    assert select(manifest, **limits).path == f"{path}.tflite"


def test_the_runner_up_comes_second(manifest):
    ranked = rank(manifest, Limits(max_macs=200))
    assert [entry.path.split("/")[1] for entry in ranked] == [
        "twin_float32.tflite",
        "middle_int8.tflite",
        "middle_float32.tflite",
        "small_float32.tflite",
    ]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"max_macs": 90},
            "Expected a file with max_macs=90. Received: none of 6 files; nearest is small/small_float32.tflite "
            "(macs=100, bytes=500, top1=0.7000).",
        ),
        (
            {"min_top1": 0.95, "max_macs": 500},
            "Expected a file with max_macs=500, min_top1=0.95. Received: none of 6 files; nearest is "
            "large/large_float32.tflite (macs=400, bytes=4000, top1=0.9000, latency_ms=8 on phone, "
            "latency_ms=12 on tablet).",
        ),
        (
            {"quantization": "int4"},
            "Expected a file with quantization=int4. "
            "Received: none of the 7 files has that precision and passed its checks.",
        ),
    ],
)
def test_when_nothing_fits_the_nearest_file_is_named_in_one_line(manifest, limits, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        select(manifest, **limits)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_macs": 0}, "Expected a positive limit. Received: max_macs=0."),
        ({"max_latency_ms": float("nan")}, "Expected a positive limit. Received: max_latency_ms=nan."),
        ({"min_top1": 90}, r"Expected an accuracy in 0..1. Received: min_top1=90."),
    ],
)
def test_limits_that_make_no_sense_are_refused(manifest, limits, message):
    with pytest.raises(ValueError, match=message):
        select(manifest, **limits)
