import matplotlib.image
import numpy as np

from ofar_tf.search.similarity_figure import plot_similarity, similarity_map


def test_the_map_compares_every_pair_of_epochs(make_mask):
    # By hand: 1100 and 0110 share one of two; 0011 shares nothing with 1100 and one of two with 0110.
    masks = [make_mask("1100"), make_mask("0110"), make_mask("0011")]
    np.testing.assert_allclose(similarity_map(masks), [[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]])


def test_the_figure_is_an_image_with_a_map_for_each_structure(make_mask, tmp_path):
    wide, narrow = tmp_path / "wide.png", tmp_path / "narrow.png"
    one, two = make_mask("1100"), make_mask("1010")
    plot_similarity(narrow, ["a"], [[one], [two]])
    plot_similarity(wide, ["a", "b", "c"], [[one, one, two]])
    assert matplotlib.image.imread(wide).shape[1] > 2 * matplotlib.image.imread(narrow).shape[1]
    assert sorted(tmp_path.iterdir()) == [narrow, wide]
