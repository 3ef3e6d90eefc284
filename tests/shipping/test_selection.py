import dataclasses
import re

import pytest

from ofar_tf.checks.accuracy_check import AccuracyCheck
from ofar_tf.family.manifest import Latency, Manifest
from ofar_tf.shipping import selection
from ofar_tf.shipping.selection import Limits, choose, rank
from ofar_tf.tasks.classification.accuracy import accuracy
from ofar_tf.tasks.scores import FileScores
from ofar_tf.tflite.latency import PredictedLatency


def select(manifest, prefer="size", **limits):
    return choose(manifest, Limits(**limits), prefer=prefer)[0]


def explain(manifest, **limits):
    return selection.explain(manifest, Limits(**limits)).splitlines()


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
        ({}, "large/large_int8"),  # huge is more accurate but failed; one point on 200 images is noise
        ({"max_macs": 399}, "middle/middle_int8"),  # as accurate as twin and smaller
        ({"max_macs": 399, "quantization": "float32"}, "twin/twin_float32"),  # as accurate as middle and smaller
        ({"max_macs": 399, "prefer": "accuracy"}, "twin/twin_float32"),  # and with fewer MACs than both
        ({"prefer": "accuracy"}, "large/large_float32"),
        ({"max_macs": 399, "max_bytes": 1999}, "middle/middle_int8"),
        ({"max_bytes": 899}, "small/small_float32"),
        ({"quantization": "int8"}, "large/large_int8"),
        ({"max_latency_ms": 12.0}, "large/large_float32"),
        ({"max_latency_ms": 11.9}, "middle/middle_float32"),  # large is slower on the tablet; the rest is unmeasured
        ({"max_latency_ms": 11.9, "device": "phone"}, "large/large_float32"),
        ({"max_latency_ms": 12.0, "device": "tablet"}, "large/large_float32"),
        ({"min_score": 0.86, "max_bytes": 2000}, "large/large_int8"),
    ],
)
def test_the_smallest_of_the_most_accurate_files_within_the_limits_is_chosen(manifest, limits, path):
    assert select(manifest, **limits).path == f"{path}.tflite"


def test_the_runner_up_comes_second(manifest):
    ranked = rank(manifest, Limits(max_macs=200))
    assert [entry.path.split("/")[1] for entry in ranked] == [
        "middle_int8.tflite",
        "twin_float32.tflite",
        "middle_float32.tflite",
        "small_float32.tflite",
    ]


def pair(make_entry, header, *, images, small, large=0.84):
    """The manifest of the quick start in short: a float32 file and an int8 file of less than half its size."""
    metrics = [FileScores.beside(accuracy(top1=top1, top5=1.0, images=images), keras=top1) for top1 in (large, small)]
    models = (
        make_entry("net", macs=400, top1=0, bytes=104_000, metrics=metrics[0]),
        make_entry("net", macs=400, top1=0, bytes=46_000, metrics=metrics[1], quantization="int8"),
    )
    return Manifest(**vars(header), models=models)


@pytest.mark.parametrize(
    ("images", "small", "chosen"),
    [
        (1000, 0.835, "int8"),  # Half a point, and a standard error of 1.2.
        (1000, 0.83, "int8"),
        (1000, 0.82, "float32"),
        (10_000, 0.837, "int8"),
        (10_000, 0.835, "float32"),  # Half a point on ten times the images is no noise: the standard error is .37.
        (72, 0.81, "int8"),
        (72, 0.75, "float32"),
        (1000, 0.84, "int8"),
    ],
)
def test_the_smaller_file_is_chosen_within_the_noise_of_the_images(make_entry, header, images, small, chosen):
    manifest = pair(make_entry, header, images=images, small=small)
    assert select(manifest).quantization == chosen
    # At equal accuracy and MACs the smaller file is chosen in any case.
    most_accurate = "int8" if small == 0.84 else "float32"
    assert select(manifest, prefer="accuracy").quantization == most_accurate


def test_at_equal_size_the_more_accurate_file_is_chosen(make_entry, header):
    models = (make_entry("large", macs=400, top1=0.90), make_entry("near", macs=310, top1=0.89))
    assert select(Manifest(**vars(header), models=models)).id == "large"


def test_choices_are_made_on_the_selection_split(make_entry, header):
    models = tuple(
        make_entry(name, macs=400, top1=top1, bytes=size, selection=accuracy(top1=other, top5=1.0, images=10_000))
        for name, top1, other, size in (("lucky", 0.95, 0.80, 9), ("better", 0.90, 0.91, 90))
    )
    manifest = Manifest(**vars(header), models=models)
    assert select(manifest).id == select(manifest, prefer="accuracy").id == "better"
    assert explain(manifest) == [
        "Chosen: better/better_float32.tflite, the most accurate of 2 within no limits: 90.00% top-1, 400 MACs, 90 "
        "bytes.",
        "Chosen on the selection split, where it has 91.00%.",
        "Runner-up: lucky/lucky_float32.tflite: +5.00 points, -90% bytes.",
    ]
    with pytest.raises(ValueError, match="nearest is better/better"):
        select(manifest, min_score=0.92)


def test_a_limit_of_latency_on_files_that_nobody_timed_says_so(make_entry, header):
    untimed = Manifest(**vars(header), models=(make_entry("net", macs=1, top1=0.5),))
    with pytest.raises(ValueError, match=r"Received: 1 files whose latency is not known; .* --latency_threads\.$"):
        select(untimed, max_latency_ms=5.0)


def test_a_preference_that_is_none_is_refused(manifest):
    with pytest.raises(ValueError, match=r"Expected one of the preferences size, accuracy. Received: prefer='speed'."):
        select(manifest, prefer="speed")


def test_a_file_of_which_the_images_cannot_tell_is_chosen_with_a_warning(make_entry, header):
    entry = make_entry("net", macs=1, top1=1.0)
    unsure = AccuracyCheck("cannot_tell", 0.01, images=72, losses=1, gains=0, drop=(-0.02, 0.06))
    checks = dataclasses.replace(entry.checks, accuracy=unsure)
    manifest = Manifest(**vars(header), models=(dataclasses.replace(entry, checks=checks),))
    assert explain(manifest)[1] == f"Not known: {unsure.sentence}"


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"max_macs": 90},
            "Expected a file with max_macs=90. Received: none of 6 files; nearest is small/small_float32.tflite "
            "(macs=100, bytes=500, top1=0.7000).",
        ),
        (
            {"min_score": 0.95, "max_macs": 500},
            "Expected a file with max_macs=500, min_score=0.95. Received: none of 6 files; nearest is "
            "large/large_float32.tflite (macs=400, bytes=4000, top1=0.9000, latency_ms=8 on phone, "
            "latency_ms=12 on tablet).",
        ),
        (
            {"quantization": "int4"},
            "Expected a file with quantization=int4. "
            "Received: none of the 7 files is of that kind and passed its checks.",
        ),
        (
            {"max_latency_ms": 9.0, "device": "watch"},
            "Expected one of the devices ['phone', 'tablet']. Received: device='watch'.",
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
        ({"min_score": float("nan")}, r"Expected a number. Received: min_score=nan."),
    ],
)
def test_limits_that_make_no_sense_are_refused(manifest, limits, message):
    with pytest.raises(ValueError, match=message):
        select(manifest, **limits)


@pytest.mark.parametrize(
    ("limits", "lines"),
    [
        (
            {},
            [
                "Chosen: large/large_int8.tflite, the smallest within the noise of the most accurate (90.00%) of 6 "
                "within no limits: 89.00% top-1, 400 MACs, 1.1K bytes.",
                "Runner-up: large/large_float32.tflite: +1.00 points, +264% bytes.",
                "Left out: 1 that failed a check.",
            ],
        ),
        (
            {"max_macs": 399},
            [
                "Chosen: middle/middle_int8.tflite, the cheapest of the most accurate of 4 within max_macs=399: "
                "85.00% top-1, 200 MACs, 900 bytes.",
                "Runner-up: twin/twin_float32.tflite: as accurate, -5% MACs, +122% bytes.",
                "Over the limits: 2 more accurate; large/large_float32.tflite has 90.00%, 0% beyond max_macs.",
                "Left out: 1 that failed a check.",
            ],
        ),
        (
            {"max_latency_ms": 8.0, "device": "phone", "max_macs": 200},
            [
                "Chosen: middle/middle_float32.tflite, the most accurate of 1 within max_macs=200, max_latency_ms=8.0, "
                "device=phone: 85.00% top-1, 200 MACs, 3K bytes, 8 ms.",
                "Over the limits: 2 more accurate; large/large_float32.tflite has 90.00%, 100% beyond max_macs.",
                "Left out: 1 that failed a check.",
            ],
        ),
        (
            {"quantization": "int8"},
            [
                "Chosen: large/large_int8.tflite, the most accurate of 2 within quantization=int8: 89.00% top-1, "
                "400 MACs, 1.1K bytes.",
                "Runner-up: middle/middle_int8.tflite: -4.00 points, -50% MACs, -18% bytes.",
                "Over the limits: 1 more accurate; large/large_float32.tflite has 90.00% but is float32.",
                "Left out: 1 that failed a check.",
            ],
        ),
        (
            {"max_latency_ms": 11.0},
            [
                "Chosen: middle/middle_float32.tflite, the most accurate of 1 within max_latency_ms=11.0: 85.00% "
                "top-1, 200 MACs, 3K bytes, 8 ms.",
                "Over the limits: 2 more accurate; large/large_float32.tflite has 90.00%, 9% beyond max_latency_ms.",
                "Left out: 1 that failed a check.",
            ],
        ),
    ],
)
def test_a_choice_is_explained(manifest, limits, lines):
    assert explain(manifest, **limits) == lines


def test_where_a_file_was_not_measured_its_predicted_latency_counts(make_entry, header):
    predicted = {"predicted": PredictedLatency("phone", 4, 5.0, 0.05)}
    measured = {"latency": (Latency("phone", 4, 6.0),), **predicted}
    large, small = (make_entry(name, macs=m, top1=t) for name, m, t in (("large", 400, 0.9), ("small", 100, 0.7)))
    guessed = Manifest(**vars(header), models=(dataclasses.replace(large, **predicted), small))
    assert select(guessed, max_latency_ms=5.5, device="phone").id == "large"
    assert ", 5 ms (predicted)." in explain(guessed, max_latency_ms=5.5)[0]
    known = Manifest(**vars(header), models=(dataclasses.replace(large, **measured), small))
    assert ", 6 ms." in explain(known, max_latency_ms=6.5, device="phone")[0]
    with pytest.raises(ValueError, match=r"nearest is large/.*, latency_ms=6 on phone"):
        select(known, max_latency_ms=5.5)


def test_what_was_never_measured_is_named_so(manifest):
    limits = Limits(max_latency_ms=10.0, quantization="float32", device="tablet", max_macs=400)
    assert limits.misses(manifest.models[1]) == {"max_latency_ms": pytest.approx(0.2)}
    assert limits.misses(manifest.models[3]) == {"max_latency_ms": float("inf")}
