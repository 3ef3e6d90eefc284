"""What one structure reached at one resolution: the columns that `results.csv` and `subnets.csv` share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SubnetResult:
    """The accuracy of one structure at one resolution.

    Attributes:
        structure: Its name.
        rate: Its pruning rate, in [0, 1).
        resolution: Pixels.
        macs: Multiply-adds of one image at that resolution.
        params: Number of weights.
        top1: Share of images whose first guess is right, in [0, 1].
        top5: Share of images with a right guess among the first five.
        images: How many images were measured.
    """

    structure: str
    rate: float
    resolution: int
    macs: int
    params: int
    top1: float
    top5: float
    images: int
