import dataclasses

import numpy as np
import pytest

from ofar_tf.checks.accuracy_check import check_accuracy
from ofar_tf.tasks.classification.predictions import Predictions


def pair(images, *, losses=0, gains=0, both_wrong=0):
    """The answers of a file and of its parent that differ on so many images."""
    parent, file = np.zeros(images, int), np.zeros(images, int)
    file[:losses] = 1
    parent[losses : losses + gains] = 1
    parent[losses + gains : losses + gains + both_wrong] = file[losses + gains : losses + gains + both_wrong] = 1
    labels = np.zeros(images, int)
    return Predictions(labels, file, file), Predictions(labels, parent, parent)


def check(images, **counts):
    file, parent = pair(images, **counts)
    return check_accuracy(*file.losses_and_gains(parent), images, limit=0.01)


def verdict(images, **counts):
    return check(images, **counts).verdict


@pytest.mark.parametrize(
    ("images", "losses", "gains", "expected"),
    [
        (72, 1, 0, "cannot_tell"),  # One image is 1.4 points.
        (72, 3, 0, "cannot_tell"),  # Three files of one export were refused for less.
        (72, 0, 0, "cannot_tell"),  # Even no difference shows only that the drop is below 3.6 points.
        (3, 3, 0, "cannot_tell"),  # An eighth of all coins falls so.
        (1, 1, 0, "cannot_tell"),
        (72, 16, 2, "failed"),  # What is broken is seen on few images too.
        (24, 24, 0, "failed"),
        (300, 0, 0, "passed"),
        (1000, 5, 4, "passed"),
        (1000, 30, 5, "failed"),
        (1000, 14, 4, "cannot_tell"),  # Exactly one point was lost; the interval lies on both sides.
        (10_000, 100, 40, "passed"),  # 0.6 points, surely less than one.
        (10_000, 100, 0, "cannot_tell"),
        (10_000, 300, 100, "failed"),
        (50_000, 4000, 3400, "cannot_tell"),
        (50_000, 4000, 3800, "passed"),
        (50_000, 4000, 3300, "failed"),
    ],
)
def test_the_verdict_is_what_the_images_show(images, losses, gains, expected):
    assert verdict(images, losses=losses, gains=gains) == expected


def test_images_on_which_both_are_right_or_wrong_count_the_same():
    assert check(500, losses=9, gains=2, both_wrong=200) == check(500, losses=9, gains=2)


@pytest.mark.parametrize(("drop", "wrong"), [(0.01, "failed"), (0.0101, "passed")])
def test_at_the_limit_it_errs_about_once_in_twenty_times_at_most(drop, wrong):
    # A twentieth is 100 of 2,000 simulated splits; 130 is three standard deviations above.
    random = np.random.default_rng(0)
    for images, share in ((100, 0.03), (400, 0.05), (2000, 0.08)):
        draws = random.multinomial(images, [(share + drop) / 2, (share - drop) / 2, 1 - share], size=2000)
        counted, times = np.unique(draws[:, :2], axis=0, return_counts=True)
        errs = [verdict(images, losses=int(lost), gains=int(won)) == wrong for lost, won in counted]
        assert np.sum(times * errs) <= 130, images


def test_a_sentence_says_what_is_wrong_or_not_known():
    assert check(300).sentence == ""
    assert check(1000, losses=30, gains=5).sentence == (
        "Its top-1 accuracy is more than 0.01 below that of its Keras parent: of the same 1000 images it loses 30 and "
        "gains 5, at least 1.6 points with 95 %."
    )
    assert check(72, losses=1).sentence == (
        "72 images cannot tell whether it loses more than 1 point of top-1 accuracy: its drop is within -2.3 to 6.0 "
        "points; it takes about 376 images."
    )


def test_answers_to_other_images_are_refused():
    with pytest.raises(ValueError, match=r"to the same images\. Received: 10 and 11"):
        pair(10)[0].losses_and_gains(pair(11)[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "maybe"},
        {"losses": 999},
        {"gains": -1},
        {"drop": (0.5, 0.1)},
        {"drop": (float("nan"), 0.1)},
        {"limit": 0.0},
        {"images": 0},
    ],
)
def test_a_check_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ValueError, match="Expected"):
        dataclasses.replace(check(72, losses=1), **changes)


@pytest.fixture
def checks(make_entry):
    return dataclasses.replace(make_entry("net", macs=1, top1=0.5).checks, max_difference=0.01, tolerance=None)


def test_a_file_of_which_the_images_cannot_tell_passes_with_a_warning(checks):
    unsure = checks.with_accuracy(check(72, losses=1))
    assert unsure.passed and unsure.verdict == "cannot_tell" and unsure.warning.startswith("72 images cannot tell")
    sure = checks.with_accuracy(check(300))
    assert sure.passed and sure.verdict == "passed" and not sure.warning
    failed = checks.with_accuracy(check(24, losses=24))
    assert not failed.passed and failed.verdict == "failed" and failed.reasons == (failed.accuracy.sentence,)
    # What is broken anyway is not excused by too few images.
    assert checks.with_reason("It is bad.").with_accuracy(unsure.accuracy).verdict == "failed"


@pytest.mark.parametrize(
    "changes",
    [{"max_difference": float("nan")}, {"argmax_agreement": 1.5}, {"images": 0}, {"operators": {"CONV_2D": 0}}],
)
def test_checks_that_make_no_sense_are_refused(checks, changes):
    with pytest.raises(ValueError, match="Expected"):
        dataclasses.replace(checks, **changes)
