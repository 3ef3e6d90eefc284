"""Whether what was trained is what is shipped: masked = sliced = the exported Keras model, measured."""

from dataclasses import dataclass

TOLERANCE = 1e-3


@dataclass(frozen=True)
class NetworkParity:
    """Differences between the forms of one network at one resolution, on real images.

    Attributes:
        masked_sliced: Largest difference of a logit between the masked supernet and the compact network, both
            normalized by the images' own statistics, relative to the largest logit.
        sliced_keras: Largest absolute difference of a probability between the compact network and the exported
            `.keras` model.
    """

    masked_sliced: float
    sliced_keras: float

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is wrong, one sentence each; empty if the forms agree to `TOLERANCE`."""
        pairs = (
            ("The masked and the sliced network differ", self.masked_sliced),
            ("The sliced network and the exported Keras model differ", self.sliced_keras),
        )
        return tuple(f"{text} by {value:.2g}, more than {TOLERANCE:g}." for text, value in pairs if value > TOLERANCE)
