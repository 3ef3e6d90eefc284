"""What later commands will do with a user's network, tried before it is trained: saved, read, cut and run."""

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import keras
import numpy as np

from ofar_tf.devices.full_float32 import full_float32
from ofar_tf.files import atomic_file
from ofar_tf.files.scratch_folder import scratch_folder
from ofar_tf.models.user_code import one_line
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.subnet import extract_subnet
from ofar_tf.text.size import Size
from ofar_tf.tflite.operators import unconvertible

_TOLERANCE = 1e-4
_IMAGES = 2


@full_float32()
def rehearse_saving(supernet: keras.Model, *, size: Size) -> None:
    """Saves and reads a network.

    Args:
        supernet: The untrained network; it is left as it is.
        size: One that the network must run at.

    Raises:
        ValueError: If that fails, or the network that was read back is not the one that was saved.
    """
    with _same_randomness_afterwards(), _where_there_is_room():
        _saved_and_read(supernet, size=size)


@full_float32()
def rehearse_cutting(
    supernet: keras.Model,
    mask: ChannelMask,
    *,
    size: Size,
    find_groups: Callable[[keras.Model], ChannelGroups],
) -> None:
    """Cuts a structure out of a network that was saved and read, and saves and reads that too.

    Args:
        supernet: The untrained network; it is left as it is.
        mask: A structure of its pool.
        size: One that the network must run at.
        find_groups: Finds the channel groups of a network.

    Raises:
        ValueError: If something of it fails, a network that was read back is not the one that was saved, or TFLite has
            no operators for it.
    """
    with _same_randomness_afterwards(), _where_there_is_room():
        again = _saved_and_read(supernet, size=size)
        groups = find_groups(again)
        if [(g.name, g.size) for g in groups.groups] != [(g.name, g.size) for g in mask.groups]:
            raise ValueError(
                f"Expected the same channel groups in {supernet.name} when it is saved and read. "
                f"Received: {[g.name for g in groups.groups]} in the place of {[g.name for g in mask.groups]}."
            )
        same = ChannelMask(groups.groups, mask.keep)
        subnet = _tried("cut", supernet, lambda: extract_subnet(again, groups, same, resolution=size))
        _check_operators(_saved_and_read(subnet, size=size), size=size)


def _saved_and_read(network: keras.Model, *, size: Size) -> keras.Model:
    with scratch_folder("rehearsal") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of Lambda layers; they are seen to elsewhere.
        path = folder / "network.keras"
        _tried("saved", network, lambda: network.save(path))
        again = _tried("read back", network, lambda: keras.saving.load_model(path, compile=False))
    images = np.random.default_rng(0).uniform(0, 255, (_IMAGES, size.height, size.width, 3)).astype(np.float32)
    expected = _tried("run", network, lambda: _run(network, images))
    received = _tried("run when it was read back", network, lambda: _run(again, images))
    # What draws random numbers at inference too is not the same twice, and cannot be compared.
    if _differ(expected, received) and not _differ(expected, _run(network, images)):
        raise ValueError(
            f"Expected {network.name} to give the same outputs when it was saved and read back: whatever a layer of "
            f"yours computes with must be in its weights or its get_config. "
            f"Received: a difference of {np.abs(expected - received).max():.3g}."
        )
    return again


def _check_operators(network: keras.Model, *, size: Size) -> None:
    if names := unconvertible(network, size=size):
        raise ValueError(
            f"Expected a network that TFLite has operators for. Received: {network.name}, with {', '.join(names[:3])}, "
            "which none of them computes."
        )


def _tried(what: str, network: keras.Model, work: Callable[[], Any]) -> Any:
    try:
        with atomic_file.room_for("a copy of the network in the temporary folder"):
            return work()
    except atomic_file.NoRoomError:
        raise
    except Exception as error:  # The user's layers may raise anything.
        raise ValueError(
            f"Expected a network that can be {what}. Received: {network.name}: {one_line(error)}"
        ) from error


def _run(network: keras.Model, images: np.ndarray) -> np.ndarray:
    outputs = keras.tree.flatten(network(images, training=False))
    return np.concatenate([np.asarray(output, np.float64).ravel() for output in outputs])


def _differ(first: np.ndarray, second: np.ndarray) -> bool:
    scale = max(1.0, float(np.abs(first).max()))
    return first.shape != second.shape or not np.allclose(first, second, rtol=0, atol=_TOLERANCE * scale)


def _where_there_is_room() -> AbstractContextManager[None]:
    """Ends a rehearsal for want of room in silence: that says nothing of the network, and the run will say where."""
    return suppress(atomic_file.NoRoomError)


@contextmanager
def _same_randomness_afterwards() -> Iterator[None]:
    """Gives Python's and NumPy's generators back their state: layers that were read draw seeds from them."""
    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)
