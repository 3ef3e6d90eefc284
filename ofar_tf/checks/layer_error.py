"""How far the output of one layer is from what it should be, as a value and as a row of a table."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofar_tf.files import atomic_file


@dataclass(frozen=True)
class LayerError:
    """The error of one layer's output.

    Attributes:
        layer: The Keras layer.
        operator: What computes it in the file.
        noise: Energy of the difference between file and Keras, as a share of the energy of Keras's output: 0 where they
            agree, 1 where nothing of the output is left.
        added: How much of it was not there yet in the noisiest input of the operator.
        tensor: What the file calls the output; empty where that is not known.
    """

    layer: str
    operator: str
    noise: float
    added: float
    tensor: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.added <= self.noise < math.inf:
            raise ValueError(f"Expected 0 <= added <= noise, finite. Received: {self}.")

    @property
    def decibels(self) -> float:
        """The signal-to-noise ratio; infinite without noise."""
        return -10 * math.log10(self.noise) if self.noise else math.inf


def worst_layers(errors: Iterable[LayerError], count: int) -> tuple[LayerError, ...]:
    """Picks the layers to blame: those that add most noise.

    Args:
        errors: The errors of all layers.
        count: How many are wanted.

    Returns:
        At most that many, the worst first.
    """
    return tuple(sorted(errors, key=lambda error: -error.added)[:count])


def write_layer_errors(path: Path, errors: Sequence[LayerError]) -> None:
    """Writes errors as a table, `layer,operator,noise,added,snr_db`.

    Args:
        path: Where to.
        errors: The errors.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("layer", "operator", "noise", "added", "snr_db"))
    for error in errors:
        writer.writerow(
            (error.layer, error.operator, f"{error.noise:.6g}", f"{error.added:.6g}", f"{error.decibels:.2f}")
        )
    atomic_file.write_text(path, text.getvalue())
