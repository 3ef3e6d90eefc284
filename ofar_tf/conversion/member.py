"""One network of a family that is exported together."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from ofar_tf.evaluation.network_parity import NetworkParity
from ofar_tf.text.size import Resolution, Size
from ofar_tf.tflite.latency import PredictedLatency


def file_id(network: str, structure: str, resolution: Resolution) -> str:
    """Names the files of one structure at one resolution, for instance `mobilenet_v2_ofar_macs107m_r160`.

    Args:
        network: The name of the supernet, for instance `mobilenet_v2`.
        structure: The name of the structure, for instance `macs107m`.
        resolution: Size of the input.

    Returns:
        Lower case letters, digits and underscores: a valid name for an Android asset or resource.
    """
    return re.sub(r"[^a-z0-9]+", "_", f"{network}_ofar_{structure}_r{Size.of(resolution)}".lower()).strip("_")


@dataclass(frozen=True)
class FamilyMember:
    """A structure at a resolution.

    Attributes:
        id: Name of its files (`file_id`), lower case letters, digits and underscores.
        structure: Name of the structure.
        rate: The structure's pruning rate, in [0, 1).
        resolution: Height and width of the input; a number is a square's side.
        macs: Multiply-adds of one image.
        params: Number of weights.
        model: Builds the network: images [batch, h, w, 3] with values in 0..255 to what its task ships
            (`Task.shipped`).
        origin: A digest of everything the model is made from, so that one that was written is not built again: on a GPU
            no two calibrations give the same bits, and at ImageNet's scale one takes minutes.
        measure_parity: Says how far the built model agrees with the network that was trained; None where that is not
            measured.
        predicted: How long its file of a precision takes, by the precision, as far as that was predicted.
    """

    id: str
    structure: str
    rate: float
    resolution: Resolution
    macs: int
    params: int
    model: Callable[[], keras.Model]
    origin: str
    measure_parity: Callable[[keras.Model], NetworkParity] | None = None
    predicted: Mapping[str, PredictedLatency] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]+", self.id):
            raise ValueError(f"Expected an id of lower case letters, digits and underscores. Received: id={self.id!r}.")
        if not 0 <= self.rate < 1:
            raise ValueError(f"Expected a pruning rate in [0, 1). Received: rate={self.rate} of {self.id}.")
        if min(self.macs, self.params) < 1:
            raise ValueError(f"Expected positive macs and params. Received: {self.macs}, {self.params} of {self.id}.")

    @property
    def size(self) -> Size:
        """The resolution as height and width."""
        return Size.of(self.resolution)

    def build(self, *, check_output: Callable[[Any], None]) -> keras.Model:
        """Returns the network.

        Args:
            check_output: Raises a ValueError for outputs of another shape than the task's (`Shipped.check_shipped`).

        Returns:
            The network.

        Raises:
            ValueError: If its input or output is not of the shape that the member promises.
        """
        model = self.model()
        expected = (None, self.size.height, self.size.width, 3)
        if model.input_shape != expected:
            raise ValueError(f"Expected {self.id} to take {expected}. Received: a model of {model.input_shape}.")
        try:
            # Not `output_shape`, which forgets the names of outputs.
            check_output(keras.tree.map_structure(lambda output: tuple(output.shape), model.output))
        except ValueError as error:
            raise ValueError(f"{error} ({self.id})") from error
        return model
