"""How a width multiplier changes a number of channels."""


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Rounds a number of channels to a multiple of `divisor`, losing no more than a tenth of it.

    The rule of MobileNetV2's released code, which US-Net, MutualNet and all later MobileNets share.

    Args:
        channels: The wanted number of channels, positive, not necessarily whole.
        divisor: What the result is a multiple of, also the smallest result.

    Returns:
        The multiple of `divisor` nearest to `channels`, halves upwards; the next one if that is below 0.9 `channels`.
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


def scaled(channels: int, width_multiplier: float) -> int:
    """Widens or narrows a layer.

    Args:
        channels: The layer's channels at width 1.
        width_multiplier: Positive factor; 1 keeps `channels` as they are, 1.5 is the paper's.

    Returns:
        `channels` times the multiplier, rounded by `make_divisible`.

    Raises:
        ValueError: If the multiplier is not positive.
    """
    if width_multiplier <= 0:
        raise ValueError(f"Expected a positive width multiplier. Received: width_multiplier={width_multiplier}.")
    return make_divisible(channels * width_multiplier)
