"""One network of a family that is exported together."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
        resolution: Height and width of the input, in pixels.
        macs: Multiply-adds of one image.
        params: Number of weights.
        model: The network, or a function that builds it: images [batch, r, r, 3] with values in 0..255 to what its task
            ships (`Task.shipped`).
        measure_parity: Says how far the built model agrees with the network that was trained; None where that is not
            measured.
        origin: A digest of everything the model is made from, so that one that was written is not built again; None to
            go by the model itself.
        predicted: How long its file of a precision takes, by the precision, as far as that was predicted.
    """

    id: str
    structure: str
    rate: float
    resolution: int
    macs: int
    params: int
    model: keras.Model | Callable[[], keras.Model]
    measure_parity: Callable[[keras.Model], NetworkParity] | None = None
    origin: str | None = None
    predicted: Mapping[str, PredictedLatency] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]+", self.id):
            raise ValueError(f"Expected an id of lower case letters, digits and underscores. Received: id={self.id!r}.")
        if not 0 <= self.rate < 1:
            raise ValueError(f"Expected a pruning rate in [0, 1). Received: rate={self.rate} of {self.id}.")
        if min(self.resolution, self.macs, self.params) < 1:
            raise ValueError(
                "Expected positive resolution, macs and params. "
                f"Received: {self.resolution}, {self.macs}, {self.params} of {self.id}."
            )

    def build(self, *, classes: int) -> keras.Model:
        """Returns the network.

        Args:
            classes: The number K of classes it must have.

        Returns:
            The network.

        Raises:
            ValueError: If its input or output is not of the shape that the member promises.
        """
        model = self.model if isinstance(self.model, keras.Model) else self.model()
        expected = ((None, self.resolution, self.resolution, 3), (None, classes))
        received = (model.input_shape, model.output_shape)
        if received != expected:
            raise ValueError(
                f"Expected {self.id} to map {expected[0]} to {expected[1]}. "
                f"Received: a model from {received[0]} to {received[1]}."
            )
        return model
