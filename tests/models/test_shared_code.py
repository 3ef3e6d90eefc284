"""What of a network is the user's own reaches the processes that read it, or the network is refused."""

import os
import threading
from pathlib import Path
from typing import Any

import keras
import pytest

from ofar_tf.models.shared_code import check_shareable, load_shared, shared_code
from ofar_tf.models.user_code import one_line
from ofar_tf.models.user_model import read_file
from tests.demanding_layer import Demanding

register = keras.saving.register_keras_serializable(package="shared")


def network(*own: Any) -> keras.Model:
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3)(image)
    for layer in own:
        x = layer(x)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def own_layers() -> list[Any]:
    """As a notebook's cell makes them: no module holds the class and the function."""

    @keras.saving.register_keras_serializable(package="cell")
    class Doubled(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2.0

    @keras.saving.register_keras_serializable(package="cell")
    def squared(x: Any) -> Any:
        return x * x

    return [Doubled(), keras.layers.Activation(squared)]


def test_a_process_that_is_started_meanwhile_can_read_layers_that_no_module_holds(tmp_path: Path) -> None:
    model = network(*own_layers())
    model.save(tmp_path / "a.keras")
    registered = keras.saving.get_custom_objects()
    with shared_code(model):
        # What follows happens in the other process, which has registered nothing.
        for name in [name for name in registered if name.startswith("cell>")]:
            del registered[name]
        with pytest.MonkeyPatch.context() as patch:
            shared = os.environ["OFAR_TF_SHARED_CODE"]
            patch.delenv("OFAR_TF_SHARED_CODE")
            with pytest.raises(ValueError, match=r"Could not locate class 'Doubled'"):
                read_file(str(tmp_path / "a.keras"))
            patch.setenv("OFAR_TF_SHARED_CODE", shared)
            assert type(read_file(str(tmp_path / "a.keras")).layers[2]).__name__ == "Doubled"
    assert "OFAR_TF_SHARED_CODE" not in os.environ
    load_shared()  # Nothing is shared, which is no error.


def test_of_a_network_of_stock_layers_nothing_is_shared() -> None:
    with shared_code(network(keras.layers.ReLU())):
        assert "OFAR_TF_SHARED_CODE" not in os.environ


class Unregistered(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x


LOCK = threading.Lock()


def entangled() -> Any:
    """Computes with something that no other process can have."""

    @register
    class Entangled(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x * (2.0 if LOCK.locked() else 1.0)

    return Entangled()


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Unregistered(), r"Could not locate class 'Unregistered'"),
        (Demanding(2.0), r"unexpected keyword argument"),
        (entangled(), r"[Cc]annot"),
    ],
    ids=["unregistered", "demanding", "entangled"],
)
def test_code_that_no_other_process_could_have_is_refused_in_one_line(layer: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"^Expected layers of yours .* Received: mine: \w+: .*{reason}") as caught:
        check_shareable(network(layer), reference="mine")
    assert "\n" not in str(caught.value)


PASSED_ON = "<class> could not be made.\n\nconfig={}.\n\nException encountered: none 'x'. Full object config: {}"
CALLED = "Exception encountered when calling A.call().\n\n\x1b[1mno shape\x1b[0m\n\nArguments"


@pytest.mark.parametrize(
    ("text", "line"), [("told\nmore", "told"), (PASSED_ON, "none 'x'."), (CALLED, "no shape"), ("", "")]
)
def test_of_what_keras_says_the_cause_is_kept(text: str, line: str) -> None:
    assert one_line(LookupError(text)) == f"LookupError: {line}".removesuffix(": ")
