import keras
import pytest

from ofar_tf.training import networks_at_once
from ofar_tf.training.networks_at_once import networks_that_fit

# Of an image of 8x6 pixels the layers return 48 * 5 numbers, as many, and 5: 485 numbers, 4 bytes each.
BYTES = 4 * 485


@pytest.fixture(scope="module")
def network() -> keras.Model:
    image = keras.Input((None, None, 3))
    map_ = keras.layers.ReLU()(keras.layers.Conv2D(5, 3, padding="same")(image))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(map_))


@pytest.fixture
def machine(monkeypatch):
    """Makes a machine of some memory, with an accelerator or without."""

    def make(memory: int | None, *, accelerated: bool = False) -> None:
        monkeypatch.setattr(networks_at_once, "usable_memory", lambda: memory)
        monkeypatch.setattr(networks_at_once, "is_accelerated", lambda: accelerated)

    return make


def test_all_networks_run_at_once_where_half_of_the_memory_holds_what_they_return(network, machine) -> None:
    enough = 2 * 4 * 16 * BYTES
    machine(enough)
    assert networks_that_fit(network, images=(16, 8, 6, 3), networks=4) == 4
    machine(enough - 1)
    assert networks_that_fit(network, images=(16, 8, 6, 3), networks=4) == 2


def test_two_run_at_once_where_the_memory_or_the_batch_is_not_known(network, machine) -> None:
    machine(None)
    assert networks_that_fit(network, images=(16, 8, 6, 3), networks=4) == 2
    machine(2**40)
    assert networks_that_fit(network, images=(None, 8, 6, 3), networks=4) == 2


def test_an_accelerator_runs_one_network_at_a_time(network, machine) -> None:
    machine(2**40, accelerated=True)
    assert networks_that_fit(network, images=(16, 8, 6, 3), networks=4) == 1
