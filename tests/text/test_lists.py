import numpy as np
import pytest

from ofar_tf.text.lists import listed


@pytest.mark.parametrize("given", [["a", "b"], ("a", "b"), np.array(["a", "b"]), {"a": 1, "b": 2}, iter("ab")])
def test_whatever_yields_entries_is_a_list_of_them(given):
    assert listed("names", given) == ["a", "b"]


def test_numbers_of_arrays_are_pythons_own():
    assert [type(each) for each in listed("sizes", np.array([8, 6]))] == [int, int]


@pytest.mark.parametrize("given", ["int8", b"int8", 8, None])
def test_one_entry_in_the_place_of_many_is_refused(given):
    with pytest.raises(ValueError, match=rf"Expected names as a list. Received: names={given!r}."):
        listed("names", given)
