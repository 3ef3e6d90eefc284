"""What is known of a file that holds several resolutions of a structure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PackedSignature:
    """One resolution in a packed file.

    Attributes:
        name: The signature's name, for instance `r160`.
        id: The id of the file that it was made from.
        resolution: Height and width of the input, in pixels.
        macs: Multiply-adds of one image.
        top1: Its own top-1 accuracy on the evaluation split.
        changed_weights: How many weights were rounded the other way to share their kernels
            (`ofar_tf.tflite.merged_signatures.share_kernels`); without any, it computes exactly what the file does.
        max_difference: Largest difference of a stored output value from that file, through LiteRT: of a probability, or
            for integers in steps.
    """

    name: str
    id: str
    resolution: int
    macs: int
    top1: float
    changed_weights: int
    max_difference: float


@dataclass(frozen=True)
class PackedFile:
    """The resolutions of a structure in a precision, and what storing them together saves.

    Attributes:
        structure: Name of the structure.
        quantization: A key of `ofar_tf.conversion.precision.PRECISIONS`.
        bytes: Size of the packed file.
        single_bytes: Size of the files of its resolutions together.
        signatures: The resolutions, largest first; an application that asks for no signature gets the first.
        path: The file, relative to the export folder; None where it was not written.
        sha256: Of the file; None where it was not written.
        reason: Why it was not written; None where it was.
    """

    structure: str
    quantization: str
    bytes: int
    single_bytes: int
    signatures: tuple[PackedSignature, ...]
    path: str | None = None
    sha256: str | None = None
    reason: str | None = None

    @property
    def saving(self) -> float:
        """Share of the bytes that packing saves."""
        return 1 - self.bytes / self.single_bytes

    @property
    def summary(self) -> str:
        """What became of it, in one line for people."""
        what = (
            f"{' and '.join(signature.name for signature in self.signatures)} of {self.structure}, {self.quantization}"
        )
        if self.reason:
            return f"Not packed: {what}. {self.reason}"
        return f"Packed: {what}, in {self.path}: {self.bytes:,} bytes instead of {self.single_bytes:,}."
