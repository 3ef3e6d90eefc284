"""Learning rates over a run that first searches and then trains."""

from typing import Any

import keras
import tensorflow as tf

DECAYS = ("cosine", "linear", "constant")


class SearchThenDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A constant rate while structures are searched, then a decay from the initial rate to zero over what is left.

    The search may end early; the decay starts when it does and has reached zero when the run's last step is done. A
    large learning rate during the search finds better structures (Table 5 of the paper). Structures that train on alone
    after the run's last joint step have a rate of their own, which decays in the same way.

    Args:
        initial: The learning rate at which joint training starts, positive.
        search: The learning rate of the search, positive.
        search_steps: Scalar int variable or number: at which step the search ended; a variable may change later.
        total_steps: Steps of the search and of joint training, at least 1.
        decay: `cosine`, `linear` or `constant`, per step.
        warmup_steps: Over how many steps the rate rises to its value, linearly; 0 for none.
        head_steps: How many steps at the start have the rate of the search, before it begins to rise.
        finetune: The learning rate at which structures begin to train alone, positive.
        finetune_steps: How many steps they do so; 0 for none.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        initial: float,
        *,
        search: float,
        search_steps: Any,
        total_steps: int,
        decay: str = "cosine",
        warmup_steps: int = 0,
        head_steps: int = 0,
        finetune: float = 1.0,
        finetune_steps: int = 0,
    ):
        if initial <= 0.0 or search <= 0.0 or finetune <= 0.0:
            raise ValueError(
                f"Expected positive learning rates. Received: initial={initial}, search={search}, finetune={finetune}."
            )
        if total_steps < 1:
            raise ValueError(f"Expected at least one training step. Received: total_steps={total_steps}.")
        if decay not in DECAYS:
            raise ValueError(f"Expected a decay of {', '.join(DECAYS)}. Received: decay={decay!r}.")
        if not 0 <= warmup_steps <= total_steps - head_steps:
            raise ValueError(
                f"Expected 0 to {total_steps - head_steps} steps of warm-up. Received: warmup_steps={warmup_steps}."
            )
        self.initial = initial
        self.search = search
        self.search_steps = search_steps
        self.total_steps = total_steps
        self.decay = decay
        self.warmup_steps = warmup_steps
        self.head_steps = head_steps
        self.finetune = finetune
        self.finetune_steps = finetune_steps

    def __call__(self, step: Any) -> tf.Tensor:
        """Returns the learning rate of a step.

        Args:
            step: Scalar int, the number of steps done before it.

        Returns:
            Scalar float32.
        """
        step = tf.cast(step, tf.float32)
        start = tf.minimum(tf.cast(tf.convert_to_tensor(self.search_steps), tf.float32), float(self.total_steps))
        rate = tf.where(step < start, self.search, self.initial * self._left(step - start, self.total_steps - start))
        if self.warmup_steps:
            risen = tf.minimum((step - self.head_steps + 1.0) / self.warmup_steps, 1.0)
            rate *= tf.where(step < self.head_steps, 1.0, risen)
        if not self.finetune_steps:
            return rate
        alone = self.finetune * self._left(step - self.total_steps, float(self.finetune_steps))
        return tf.where(step < self.total_steps, rate, alone)

    def _left(self, done: tf.Tensor, steps: Any) -> tf.Tensor:
        """Returns the share of a rate that is left after so many steps of its decay."""
        progress = tf.clip_by_value(done / tf.maximum(steps, 1.0), 0.0, 1.0)
        if self.decay == "cosine":
            return 0.5 * (1.0 + tf.cos(3.141592653589793 * progress))
        return 1.0 - progress if self.decay == "linear" else tf.ones_like(progress)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, with `search_steps` as the number it has now."""
        return {
            "initial": self.initial,
            "search": self.search,
            "search_steps": int(tf.convert_to_tensor(self.search_steps)),
            "total_steps": self.total_steps,
            "decay": self.decay,
            "warmup_steps": self.warmup_steps,
            "head_steps": self.head_steps,
            "finetune": self.finetune,
            "finetune_steps": self.finetune_steps,
        }
