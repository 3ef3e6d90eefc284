import os

import keras
import numpy as np
import pytest

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.checkpoints import Checkpoints, restore_training, training_state


def state_of(number):
    return {"weights/0": np.full((4, 3), number, np.float32), "search/steps": np.array(number, np.int32)}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_two_checkpoints_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.latest() is None
    for epoch in (1, 2, 9, 10):
        checkpoints.save(epoch, state_of(epoch))
    assert names(tmp_path / "checkpoints") == ["epoch_00009.npz", "epoch_00010.npz"]
    epoch, state = checkpoints.latest()
    assert epoch == 10
    assert state.keys() == state_of(10).keys()
    for name, value in state_of(10).items():
        np.testing.assert_array_equal(state[name], value)
        assert state[name].dtype == value.dtype


def test_more_than_99999_epochs_are_found_again(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for epoch in (99_999, 100_000):
        checkpoints.save(epoch, state_of(1))
    assert checkpoints.latest()[0] == 100_000


def test_an_error_while_writing_leaves_the_older_checkpoints_and_nothing_else(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state_of(1))
    checkpoints.save(2, state_of(2))
    whole = np.savez

    def disk_full(path, **arguments):
        whole(path, **arguments)
        os.truncate(path, 100)
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", disk_full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(3, state_of(3))
    assert names(tmp_path) == ["epoch_00001.npz", "epoch_00002.npz"]
    assert checkpoints.latest()[0] == 2


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "empty":
        data = bytearray()
    elif how == "truncated":
        data = data[: len(data) // 2]
    elif how == "another file":
        data = bytearray(b"accuracy,loss\n")
    else:
        data[data.index(b"\x93NUMPY") + how] ^= 0xFF
    path.write_bytes(data)


# The numbers are bytes of the first array: its magic, its version, its header's length, its header, its values.
@pytest.mark.parametrize("how", ["empty", "truncated", "another file", 0, 6, 8, 9, 15, 40, 140])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, capsys, how):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state_of(1))
    checkpoints.save(2, state_of(2))
    damage(tmp_path / "epoch_00002.npz", how)
    epoch, state = checkpoints.latest()
    assert (epoch, int(state["search/steps"])) == (1, 1)
    assert "epoch_00002.npz is damaged" in capsys.readouterr().out


@pytest.mark.parametrize("seed", range(3))
def test_a_checkpoint_with_a_flipped_bit_gives_way_or_is_exactly_what_was_saved(tmp_path, capsys, seed):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state_of(1))
    checkpoints.save(2, state_of(2))
    path = tmp_path / "epoch_00002.npz"
    whole, bits, noticed = path.read_bytes(), np.random.default_rng(seed), 0
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << bits.integers(8)
        path.write_bytes(flipped)
        epoch, state = checkpoints.latest()
        noticed += epoch == 1
        assert (epoch == 1) == (f"{path} is damaged" in capsys.readouterr().out)
        assert state.keys() == state_of(epoch).keys()
        for name, value in state_of(epoch).items():
            assert (state[name].dtype, state[name].shape) == (value.dtype, value.shape)
            assert state[name].tobytes() == value.tobytes()
    assert noticed > len(whole) / 2


def test_an_archive_that_lost_an_array_or_has_one_more_or_another_type_is_damaged(tmp_path, capsys):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state_of(1))
    checkpoints.save(2, state_of(2))
    with np.load(tmp_path / "epoch_00002.npz") as archive:
        saved = dict(archive)
    less = {name: value for name, value in saved.items() if name != "search/steps"}
    more = {**saved, "weights/1": np.zeros(2)}
    other = {**saved, "search/steps": saved["search/steps"].astype(np.uint32)}
    moved = {**saved, "weights/0": saved["weights/0"].T}
    for arrays in (less, more, other, moved):
        np.savez(tmp_path / "epoch_00002.npz", **arrays)
        assert checkpoints.latest()[0] == 1
        assert "epoch_00002.npz is damaged (its sha256 differs)" in capsys.readouterr().out
    np.savez(tmp_path / "epoch_00002.npz", **saved)
    assert checkpoints.latest()[0] == 2


def test_when_all_checkpoints_are_damaged_one_line_says_so(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for epoch in (1, 2):
        checkpoints.save(epoch, state_of(epoch))
        damage(tmp_path / f"epoch_{epoch:05d}.npz", "truncated")
    with pytest.raises(ValueError, match="Expected a readable checkpoint in") as raised:
        checkpoints.latest()
    assert "\n" not in str(raised.value)


def test_keeping_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one checkpoint"):
        Checkpoints(tmp_path, keep=0)


@pytest.fixture(scope="module")
def trained(trainer_builder, batch):
    """A trainer and its search after two epochs, the second of which froze the structures."""
    model, search = trainer_builder(), MaskSearch(epochs=2)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    model.fit(*batch, batch_size=5, epochs=3, verbose=0, callbacks=[search])
    return model, search


def test_a_restored_trainer_equals_the_saved_one(trained, trainer_builder, supernet_builder):
    model, search = trained
    again, fresh = trainer_builder(supernet_builder(seed=1)), MaskSearch(epochs=2)
    again.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    state = training_state(model, search)
    restore_training(again, fresh, state)
    assert again.pool == model.pool
    assert repr(fresh.rows) == repr(search.rows)  # Not a number, at rate 0, is not equal to itself.
    assert int(again.optimizer.iterations) == 6
    assert int(again.search_steps) == 4
    for name, value in training_state(again, fresh).items():
        np.testing.assert_array_equal(value, state[name])


def test_the_state_of_another_model_changes_nothing(trained, trainer_builder, supernet_builder):
    state = training_state(*trained)
    state["weights/0"] = state["weights/0"][..., :5]
    again, fresh = trainer_builder(supernet_builder(seed=1)), MaskSearch(epochs=2)
    again.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    before = [np.array(weight) for weight in again.supernet.weights]
    with pytest.raises(ValueError, match=r"stem/kernel of shape \(3, 3, 3, 8\)\. Received: \(3, 3, 3, 5\)"):
        restore_training(again, fresh, state)
    del state["weights/0"]
    with pytest.raises(ValueError, match=r"stem/kernel of shape \(3, 3, 3, 8\)\. Received: none"):
        restore_training(again, fresh, state)
    assert again.searching
    for old, weight in zip(before, again.supernet.weights, strict=True):
        np.testing.assert_array_equal(old, weight)
