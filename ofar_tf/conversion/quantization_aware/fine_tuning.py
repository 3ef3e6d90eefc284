"""How long and how fast a network learns to live with 8 bits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FineTuning:
    """The settings of quantization-aware fine-tuning.

    Attributes:
        epochs: Passes over the images, at least 0; with 0 the ranges are measured and nothing is learned.
        learning_rate: Where the learning rate starts; it falls to zero as a cosine.
        batch_size: Images per step, at least 1.
        seed: Of the order of the images.
    """

    epochs: int = 5
    learning_rate: float = 1e-4
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.learning_rate <= 0 or self.batch_size < 1:
            raise ValueError(
                "Expected epochs of at least 0, a positive learning rate and a batch size of at least 1. "
                f"Received: {self}."
            )
