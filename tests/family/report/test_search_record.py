import numpy as np
import pytest

from ofar_tf.family.report.search_record import SimilarityMap, read_similarity, recorded_masks

TABLE = """epoch,structure,rate,similarity,above_chance,frozen
1,large,0.0,,,False
1,small,0.5,,,False
2,large,0.0,1.0,nan,True
2,small,0.5,0.5,0.0,False
3,large,0.0,1.0,nan,True
3,small,0.5,1.0,1.0,True
"""
MASKS = np.array(
    [
        [[1, 1, 1, 1], [1, 1, 0, 0]],
        [[1, 1, 1, 1], [1, 0, 1, 0]],
        [[1, 1, 1, 1], [1, 0, 1, 0]],
    ],
    bool,
)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "similarity.csv"
    path.write_text(TABLE)
    return path


def test_the_masks_give_the_similarity_of_all_epochs(table):
    # Two of four channels kept, one of them shared: 1 / sqrt(2 * 2) = 0.5.
    large, small = read_similarity(table, MASKS)
    assert large == SimilarityMap("large", ((1.0,) * 3,) * 3)
    assert small.structure == "small"
    np.testing.assert_allclose(small.cosines, [[1, 0.5, 0.5], [0.5, 1, 1], [0.5, 1, 1]], rtol=1e-12)


@pytest.mark.parametrize("masks", [None, MASKS[:2], MASKS[:, :1]])
def test_without_the_masks_of_this_search_only_neighbouring_epochs_are_known(masks, table):
    assert read_similarity(table, masks)[1].cosines == ((1.0, 0.5, None), (0.5, 1.0, 1.0), (None, 1.0, 1.0))


def test_a_search_that_had_nothing_to_learn_has_no_maps(tmp_path):
    assert read_similarity(tmp_path / "similarity.csv", MASKS) == ()


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", TABLE.replace("1.0,nan", "high,nan")])
def test_another_table_is_refused_in_one_line(text, tmp_path):
    path = tmp_path / "similarity.csv"
    path.write_text(text)
    with pytest.raises(
        ValueError, match=r"Expected the table of a structure search in .*similarity.csv. Received: .+\."
    ):
        read_similarity(path, MASKS)


def test_a_map_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match=r"as there are epochs. Received: \[2, 1\] of small."):
        SimilarityMap("small", ((1.0, 0.5), (1.0,)))


def test_the_masks_come_from_the_newest_checkpoint_that_can_be_read(tmp_path):
    np.savez(tmp_path / "epoch_00003.npz", **{"search/masks": MASKS[:2]})
    np.savez(tmp_path / "epoch_00004.npz", **{"search/masks": MASKS})
    np.testing.assert_array_equal(recorded_masks(tmp_path), MASKS)
    (tmp_path / "epoch_00004.npz").write_bytes(b"PK\x03\x04damaged")
    np.testing.assert_array_equal(recorded_masks(tmp_path), MASKS[:2])


def test_a_run_whose_checkpoints_were_removed_has_no_masks(tmp_path):
    assert recorded_masks(tmp_path / "checkpoints") is None
