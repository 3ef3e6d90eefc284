import keras
import numpy as np
import pytest

from ofar_tf.search.pool_weights import PoolWeights, ownership


@pytest.fixture
def supernet():
    image = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(4, 3, name="conv")(image))
    logits = keras.layers.Dense(2, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, logits)


def differing(first, second):
    """The paths of the supernet's variables that the second list replaces."""
    return {a.path for a, b in zip(first, second, strict=True) if a is not b}


@pytest.mark.parametrize(
    ("owned", "replaced"),
    [
        ("nothing", set()),
        ("batch_norm", {"norm/gamma", "norm/beta"}),
        (
            "everything",
            {"conv/kernel", "conv/bias", "norm/gamma", "norm/beta", "logits/kernel", "logits/bias"},
        ),
    ],
)
def test_a_structure_runs_on_the_supernets_variables_but_for_those_it_owns(supernet, owned, replaced):
    weights = PoolWeights(supernet, structures=3, owned=owned)
    for structure in range(3):
        assert differing(supernet.weights, weights.of(structure)) == replaced
    assert len(weights.own) == 3 * len(replaced)
    assert weights.separate == (owned == "everything")


@pytest.mark.parametrize(("owned", "sizes"), [("nothing", [6]), ("batch_norm", [4 + 2 * 2]), ("everything", [6, 6])])
def test_joint_training_updates_only_what_structures_run_on(supernet, owned, sizes):
    weights = PoolWeights(supernet, structures=2, owned=owned)
    assert [len(together) for together in weights.trained_together] == sizes
    runs_on = {id(variable) for structure in range(2) for variable in weights.of(structure)}
    assert all(id(variable) in runs_on for together in weights.trained_together for variable in together)


def test_structures_take_the_supernets_values_and_then_go_their_own_ways(supernet):
    weights = PoolWeights(supernet, structures=2, owned="batch_norm")
    position = [variable.path for variable in supernet.weights].index("norm/gamma")
    gamma = supernet.weights[position]
    gamma.assign([1.0, 2.0, 3.0, 4.0])
    assert np.asarray(weights.of(1)[position]).tolist() == [1.0, 1.0, 1.0, 1.0]
    weights.take_over()
    weights.of(0)[position].assign([5.0, 5.0, 5.0, 5.0])
    assert np.asarray(weights.of(1)[position]).tolist() == [1.0, 2.0, 3.0, 4.0]
    assert np.asarray(gamma).tolist() == [1.0, 2.0, 3.0, 4.0]
    assert weights.originals()[id(weights.of(0)[position])] is gamma


def test_what_structures_own_is_read_back_as_it_was_written(supernet, tmp_path):
    path = tmp_path / "own_weights.npz"
    first, second = (PoolWeights(supernet, structures=2, owned="batch_norm") for _ in range(2))
    for index, variable in enumerate(first.own):
        variable.assign(np.full(variable.shape, index))
    first.save(path)
    second.load(path)
    for index, variable in enumerate(second.own):
        assert (np.asarray(variable) == index).all()


def test_where_structures_own_nothing_there_is_no_file(supernet, tmp_path):
    weights = PoolWeights(supernet, structures=2)
    weights.save(tmp_path / "own_weights.npz")
    weights.load(tmp_path / "own_weights.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_foreign_or_damaged_file_is_refused(supernet, tmp_path):
    path, weights = tmp_path / "own_weights.npz", PoolWeights(supernet, structures=2, owned="batch_norm")
    with pytest.raises(FileNotFoundError, match="no such file"):
        weights.load(path)
    PoolWeights(supernet, structures=3, owned="batch_norm").save(path)
    with pytest.raises(ValueError, match="those of another"):
        weights.load(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="Expected a readable archive"):
        weights.load(path)


def test_what_is_owned_follows_from_two_settings():
    assert ownership(weights="shared", batch_norm="calibrated") == "nothing"
    assert ownership(weights="shared", batch_norm="switchable") == "batch_norm"
    assert ownership(weights="separate", batch_norm="calibrated") == "everything"
    with pytest.raises(ValueError, match="owned='all'"):
        PoolWeights(keras.Sequential(), structures=2, owned="all")
