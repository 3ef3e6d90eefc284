"""How a width multiplier changes a number of channels."""

_DIVISOR = 8


def make_divisible(channels: float) -> int:
    """Rounds a number of channels to a multiple of 8, losing no more than a tenth of it.

    The rule of MobileNetV2's released code, which US-Net, MutualNet and all later MobileNets share.

    Args:
        channels: The wanted number of channels, positive, not necessarily whole.

    Returns:
        The multiple of 8, at least 8, nearest to `channels`, halves upwards; the next one if that is below 0.9
        `channels`.
    """
    nearest = max(_DIVISOR, int(channels + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return nearest + _DIVISOR if nearest < 0.9 * channels else nearest


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
