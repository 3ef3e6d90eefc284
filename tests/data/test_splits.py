import pytest
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.data.splits import parse_split

SIZES = {"train": 1000, "test": 30}


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        ("train", [("train", 0, 1000)]),
        ("train[:10%]", [("train", 0, 100)]),
        ("train[500:]", [("train", 500, 1000)]),
        ("train[-20%:]", [("train", 800, 1000)]),
        ("train[-5:-2]", [("train", 995, 998)]),
        ("test[:4.9%]", [("test", 0, 1)]),  # 1.47 examples.
        ("train[10:20]+test", [("train", 10, 20), ("test", 0, 30)]),
        ("train[:1] + test[29:]", [("train", 0, 1), ("test", 29, 30)]),
    ],
)
def test_a_split_string_selects_these_examples(split, parts):
    assert list(parse_split(split, split_sizes=SIZES)) == parts


@given(size=st.integers(1, 5000), data=st.data())
def test_slices_mean_what_they_mean_in_tensorflow_datasets(size, data):
    percent = data.draw(st.booleans())
    limit = 100 if percent else size
    start, stop = data.draw(st.tuples(*[st.none() | st.integers(-limit, limit)] * 2).filter(any))
    unit = "%" if percent else ""
    text = ["" if boundary is None else f"{boundary}{unit}" for boundary in (start, stop)]
    spec = f"train[{text[0]}:{text[1]}]"
    info = tfds.core.SplitInfo(name="train", shard_lengths=[size], num_bytes=0)
    (theirs,) = tfds.core.ReadInstruction.from_spec(spec).to_absolute({"train": info})
    begin, end = theirs.from_ or 0, size if theirs.to is None else theirs.to
    if begin >= end:
        with pytest.raises(ValueError, match="at least one"):
            parse_split(spec, split_sizes={"train": size})
    else:
        assert list(parse_split(spec, split_sizes={"train": size})) == [("train", begin, end)]


@given(size=st.integers(2, 5000), percent=st.integers(1, 99))
def test_the_two_sides_of_a_cut_share_nothing_and_miss_nothing(size, percent):
    cut = round(percent * size / 100)
    if 0 < cut < size:
        (left,) = parse_split(f"all[:{percent}%]", split_sizes={"all": size})
        (right,) = parse_split(f"all[{percent}%:]", split_sizes={"all": size})
        assert (left.start, left.stop, right.stop) == (0, right.start, size)


def test_an_unknown_split_is_refused_with_the_splits_there_are():
    with pytest.raises(ValueError, match=r"^Expected one of the splits train, test. Received: split='valid\[:10\]'.$"):
        parse_split("valid[:10]", split_sizes=SIZES)


@pytest.mark.parametrize("split", ["", "train[", "train[5]", "train[::2]", "train+", "train[:10%]x", "train test"])
def test_what_is_no_split_string_is_refused(split):
    with pytest.raises(ValueError, match="Expected a split such as"):
        parse_split(split, split_sizes=SIZES)


@pytest.mark.parametrize("split", ["train[:x]", "train[:1.5]", "train[:3shard]", "train[:%]"])
def test_boundaries_that_are_no_counts_or_percentages_are_refused(split):
    with pytest.raises(ValueError, match="counts or percentages"):
        parse_split(split, split_sizes=SIZES)


@pytest.mark.parametrize("split", ["train[:1001]", "train[-1001:]", "test[:110%]"])
def test_a_slice_outside_of_the_split_is_refused(split):
    with pytest.raises(ValueError, match="Expected a slice within the"):
        parse_split(split, split_sizes=SIZES)


@pytest.mark.parametrize("split", ["train[:0]", "train[5:5]", "train[10:3]", "test[:1%]"])
def test_an_empty_slice_is_refused(split):
    with pytest.raises(ValueError, match="at least one"):
        parse_split(split, split_sizes=SIZES)
