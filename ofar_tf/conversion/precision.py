"""The precisions that a network can be exported in, as data."""

from dataclasses import dataclass

FLOAT32_TOLERANCE = 1e-3
"""Largest accepted difference between a probability of a float32 file and Keras.

Measured: 6e-8 on a net of three convolutions; 3e-5, 4e-5 and 1.5e-4 on MobileNetV1, MobileNetV2 and ResNet-50 with
random weights and logits stretched to a standard deviation of 4, a hard case. Files that lost their weights are off by
1e-1 or not finite.
"""

ALGORITHMS = ("min_max", "octav", "gptq")
"""How searched precisions round weights: to the range that they have, to one that cuts outliers off so that the squared
error is least (OCTAV, arXiv 2206.06501), or, those of dense layers, so that each makes up for those before it (GPTQ,
arXiv 2210.17323)."""
DEFAULT_ALGORITHM = "min_max"

_FLOATS, _INT8 = "TFLITE_BUILTINS", "TFLITE_BUILTINS_INT8"
_INT16X8 = "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"


@dataclass(frozen=True)
class Precision:
    """How the converter is set for one precision, and how its files are judged.

    Attributes:
        name: The name in file names and in the manifest.
        summary: What it is, for people.
        optimized: Whether weights are stored with fewer bits.
        calibrated: Whether representative images are needed to fix the ranges of the activations.
        operators: Names of `tf.lite.OpsSet`s; all of them are builtin sets.
        weights_type: Name of the TensorFlow type that the weights are stored in, or None for the converter's choice.
        io_type: Name of the type of input and output.
        tolerance: Largest accepted difference of a probability from Keras; None where the file is judged by its
            accuracy (`Metric.margin`).
        fine_tuned: Whether the network is trained on, with rounding, before it is converted:
            `ofar_tf.conversion.quantization_aware.worker` does both, and the images are training images.
        searched: Whether the bits of each layer are searched for, see `ofar_tf.conversion.mixed_precision`.
    """

    name: str
    summary: str
    optimized: bool = True
    calibrated: bool = False
    operators: tuple[str, ...] = (_FLOATS,)
    weights_type: str | None = None
    io_type: str = "float32"
    tolerance: float | None = None
    fine_tuned: bool = False
    searched: bool = False

    @property
    def needs_softmax(self) -> bool:
        """Whether it is made by comparing the probabilities of classes, which only classifiers give."""
        return self.fine_tuned or self.searched


PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision("float32", "32-bit floats", optimized=False, tolerance=FLOAT32_TOLERANCE),
        Precision("float16", "weights stored in 16-bit floats", weights_type="float16"),
        Precision("dynamic", "8-bit weights, float input, output and activations"),
        Precision("int8", "8-bit integers throughout", calibrated=True, operators=(_INT8,), io_type="uint8"),
        Precision(
            "int8_float_io",
            "8-bit integers inside, float input and output",
            calibrated=True,
            operators=(_INT8,),
        ),
        Precision(
            "int16x8",
            "16-bit activations, 8-bit weights, float input and output",
            calibrated=True,
            # HARD_SWISH, ELU, NEG and others have no 16-bit form: they stay in floats.
            operators=(_INT16X8, _FLOATS),
        ),
        Precision(
            "qat",
            "8-bit integers throughout, after fine-tuning with rounding",
            calibrated=True,
            operators=(_INT8,),
            io_type="uint8",
            fine_tuned=True,
        ),
        Precision(
            "mixed",
            "4, 8 or 32 bits for each layer, as few as keep the accuracy; float input and output",
            calibrated=True,
            searched=True,
        ),
    )
}
"""Every precision by its name."""


def precision_named(name: str) -> Precision:
    """Looks a precision up.

    Args:
        name: A key of `PRECISIONS`.

    Returns:
        The precision.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in PRECISIONS:
        raise ValueError(f"Expected one of the precisions {', '.join(PRECISIONS)}. Received: precision={name!r}.")
    return PRECISIONS[name]
