import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.files.json_values import read_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(value=VALUES)
def test_what_json_can_say_is_read_as_python_reads_it(value, tmp_path_factory):
    path = tmp_path_factory.mktemp("json") / "x.json"
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    assert read_json(path) == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "NaN",
            "[Infinity]",
            "-Infinity",
            "1e999",
            "-1e400",
            "9223372036854775808",
            "1" + "0" * 10_000,
            "-" + "9" * 25,
        ),
        *('{"a": 1, "a": 2}', '"\\ud800"', '["\\udfff"]', '{"\\ud83d": 1}'),
        *("[" * 33 + "]" * 33, "[" * 100_000, '{"a":' * 500 + "1" + "}" * 500, "", "{", "[1,]", "'a'", "\ufeff{}"),
    ],
)
def test_what_it_cannot_say_or_nobody_means_is_refused_in_one_line(text, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"^Expected JSON .*x\.json") as refusal:
        read_json(path)
    assert len(str(refusal.value).splitlines()) == 1 and len(str(refusal.value)) < 500


def test_whole_characters_and_levels_up_to_the_limit_are_read(tmp_path):
    (tmp_path / "x.json").write_text('"\\ud83d\\ude00"')
    assert read_json(tmp_path / "x.json") == "😀"
    (tmp_path / "x.json").write_text("[" * 32 + "]" * 32)
    assert read_json(tmp_path / "x.json")
