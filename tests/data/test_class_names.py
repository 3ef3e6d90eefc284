from typing import Any

import numpy as np
import pytest

from ofar_tf.data.class_names import check_class_names, names_in_order

GOOD = ("cat", "dog")


@pytest.mark.parametrize(
    "names",
    [
        GOOD,
        ["T-shirt/top", "Ankle boot"],
        ["café", "thé", "кот", "猫"],
        ["0", "1"],
        ["می‌خواهم", "نان"],  # With a zero-width non-joiner, which belongs to the word.
        ["👩‍🔬", "🐈"],
        [" padded ", "plain"],
    ],
)
def test_names_of_one_visible_line_are_taken_as_they_are(names):
    assert check_class_names(names) == tuple(names)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\nb", "with a control character"),
        ("a\r", "with a control character"),
        ("a\tb", "with a control character"),
        ("\x00", "with a control character"),
        ("a\x85b", "with a control character"),
        ("a\x1bb", "with a control character"),
        ("a\x7f", "with a control character"),
        ("a\u2028b", "with a line separator"),
        ("a\u2029b", "with a paragraph separator"),
        ("caf\udce9", "with bytes that are not UTF-8"),
        ("", "blank"),
        ("   ", "blank"),
        ("\u3000\u00a0", "blank"),
        ("\u200b", "blank"),
        ("\u3164", "blank"),
        ("\ufeff ", "blank"),
        (3, "of type int"),
        (None, "of type NoneType"),
    ],
)
@pytest.mark.parametrize("place", [0, 2])
def test_other_names_are_refused_in_one_line(name, reason, place):
    names = [*GOOD[:place], name, *GOOD[place:]]
    with pytest.raises(ValueError, match=r"Expected class names of one visible line each") as error:
        check_class_names(names)
    message = str(error.value)
    assert f"Received: class name {name!a} ({reason})." in message
    assert message.isascii() and message.isprintable()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cat", "cat"),
        ("cat", "Cat"),
        ("CAT", "cat"),
        ("straße", "STRASSE"),
        ("cafe\u0301", "caf\u00e9"),
        ("cat ", "cat"),
        ("black  cat", "black cat"),
        ("black\u00a0cat", "black cat"),
        ("c\u200bat", "cat"),
        ("ΣΑΣ", "σας"),
    ],
)
def test_names_that_look_alike_are_refused_both_named(first, second):
    with pytest.raises(ValueError, match="two or more distinct class names") as error:
        check_class_names(["ant", first, second])
    assert f"Received: {first!a} and {second!a}." in str(error.value)


@pytest.mark.parametrize("names", [[], ["cat"]])
def test_one_class_is_no_classification(names):
    with pytest.raises(
        ValueError, match=r"Expected two or more distinct class names in photos. Received: class_names="
    ):
        check_class_names(names, where="photos")


@pytest.mark.parametrize(
    "given",
    [["b", "a", "c"], np.array(["b", "a", "c"]), {"a": 1, "b": 0, "c": 2}, {2: "c", 0: "b", 1: "a"}, iter("bac")],
)
def test_names_that_a_program_gives_are_in_the_order_of_their_places(given: Any) -> None:
    assert names_in_order(given, classes=3) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"a", "b"}, r"^Expected labels as a list, in the order of the outputs\. Received: set\.$"),
        ({"a": 1, "b": 2}, r"^Expected labels with their places from 0 to 1\. Received: \{'a': 1, 'b': 2\}\.$"),
        ({"a": 0, "b": 0}, "^Expected labels with their places from 0 to 1"),
        ([0, 1], r"^Expected class names of one visible line each\. Received: 0\.$"),
        (["a"], r"^Expected 2 labels, one for each class\. Received: 1\.$"),
    ],
)
def test_names_in_no_order_or_of_other_classes_are_refused(given: Any, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        names_in_order(given, classes=2)
