import pytest
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.data.splits import SplitPart, check_disjoint, parse_split, shared_examples

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
    with pytest.raises(ValueError, match=r"Expected a split such as"):
        parse_split(split, split_sizes=SIZES)


@pytest.mark.parametrize("split", ["train[:x]", "train[:1.5]", "train[:3shard]", "train[:%]"])
def test_boundaries_that_are_no_counts_or_percentages_are_refused(split):
    with pytest.raises(ValueError, match="counts or percentages"):
        parse_split(split, split_sizes=SIZES)


@pytest.mark.parametrize("split", ["train[:1001]", "train[-1001:]", "test[:110%]"])
def test_a_slice_outside_of_the_split_is_refused(split):
    with pytest.raises(ValueError, match=r"Expected a slice within the"):
        parse_split(split, split_sizes=SIZES)


@pytest.mark.parametrize("split", ["train[:0]", "train[5:5]", "train[10:3]", "test[:1%]"])
def test_an_empty_slice_is_refused(split):
    with pytest.raises(ValueError, match="at least one"):
        parse_split(split, split_sizes=SIZES)


def parts(split):
    return parse_split(split, split_sizes=SIZES)


@st.composite
def selections(draw):
    """A few parts of two splits, which may overlap."""
    chosen = draw(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 20), st.integers(1, 10)), max_size=5))
    return [SplitPart(name, start, start + length) for name, start, length in chosen]


@given(left=selections(), right=selections())
def test_shared_examples_are_those_of_both_sets(left, right):
    def examples(selection):
        return {(name, index) for name, start, stop in selection for index in range(start, stop)}

    assert shared_examples(left, right) == len(examples(left) & examples(right))


@pytest.mark.parametrize(
    ("train", "evaluation", "shared"),
    [
        ("train[:80%]", "train[70%:]", 100),
        ("train", "train[:1]", 1),
        ("train", "train", 1000),
        ("train+test", "test", 30),
        ("train[:10]+train[20:30]", "train[5:25]", 10),
        ("train[:10]+train[:10]", "train[9:]", 1),
        ("train[-20%:]", "train[750:810]", 10),
    ],
)
def test_training_and_evaluation_splits_that_overlap_are_refused(train, evaluation, shared):
    splits = {"train_split": train, "eval_split": evaluation}
    with pytest.raises(ValueError, match=r"^Expected train_split and eval_split to share no example.") as error:
        check_disjoint(splits, parts={role: parts(split) for role, split in splits.items()})
    message = str(error.value)
    assert message.endswith(f"train_split={train!r} and eval_split={evaluation!r}, which share {shared}.")


@pytest.mark.parametrize(
    "splits",
    [
        {"train_split": "train", "eval_split": "test"},
        {"train_split": "train[:80%]", "eval_split": "train[80%:]"},
        {"train_split": "train[:80%]", "selection_split": "train[80%:90%]", "eval_split": "train[90%:]"},
        {"train_split": "train[:10]+train[20:30]", "eval_split": "train[10:20]+test"},
        {"train_split": "train+train", "eval_split": "test"},  # An image may be trained on twice.
    ],
)
def test_splits_that_share_nothing_pass(splits):
    check_disjoint(splits, parts={role: parts(split) for role, split in splits.items()})


def test_all_pairs_of_three_splits_are_compared():
    splits = {"train_split": "train", "selection_split": "test[:20]", "eval_split": "test[10:]"}
    with pytest.raises(ValueError, match=r"Expected selection_split and eval_split to share no .* which share 10.$"):
        check_disjoint(splits, parts={role: parts(split) for role, split in splits.items()})


def test_measuring_on_an_example_twice_is_refused():
    splits = {"train_split": "train", "eval_split": "test+test[:5]"}
    with pytest.raises(ValueError, match=r"each example once. Received: eval_split='test\+test\[:5\]', with 5 rep"):
        check_disjoint(splits, parts={role: parts(split) for role, split in splits.items()})
