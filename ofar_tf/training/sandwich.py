"""The sandwich rule: which four networks one training step runs, and at which resolutions."""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from ofar_tf.devices.accelerators import on_host
from ofar_tf.text.size import Size

_SANDWICH = 4
ASSISTANTS = ("middle", "all")


@dataclass(frozen=True)
class SandwichRule:
    """Draws the networks of a step: the largest, two assistants, the smallest (Section 3.3, Figure 3), or all.

    The draw depends on (seed, step) alone and is made of stateless TensorFlow operations: a resumed run and every
    replica draw the same, and a traced function draws anew at each step.

    Attributes:
        structures: How many structures there are, at least 2.
        sizes: What networks may see, at least one, the largest first.
        seed: Seed of the draws, an int32.
        every_structure: Whether a step trains every structure once (Slimmable Networks) instead of the sandwich.
        assistants: Out of which structures the two are drawn: the `middle` ones, or `all`, so that the largest too is
            trained at smaller resolutions (DESIGN D24).
        largest_first: Whether the first network sees the largest size, as a teacher must; if not, it draws like the
            others.

    Raises:
        ValueError: If a number is out of range or the sizes are not in order.
    """

    structures: int
    sizes: tuple[Size, ...]
    seed: int
    every_structure: bool = False
    assistants: str = "middle"
    largest_first: bool = True

    def __post_init__(self) -> None:
        if self.structures < 2:
            raise ValueError(f"Expected at least two structures. Received: structures={self.structures}.")
        if self.assistants not in ASSISTANTS:
            raise ValueError(f"Expected assistants out of {', '.join(ASSISTANTS)}. Received: {self.assistants!r}.")
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes), reverse=True):
            listed = ", ".join(map(str, self.sizes))
            raise ValueError(f"Expected different resolutions, largest first. Received: {listed or 'none'}.")

    @property
    def networks(self) -> int:
        """How many networks a step trains."""
        return self.structures if self.every_structure else _SANDWICH

    @property
    def roles(self) -> list[str]:
        """What the networks of a step are called, largest first."""
        return ["teacher", *(f"assistant_{index}" for index in range(1, self.networks - 1)), "student"]

    @property
    def students(self) -> range:
        """Which structures the networks after a step's first are drawn from."""
        first_again = not self.every_structure and (self.assistants == "all" or self.structures == 2)
        return range(0 if first_again else 1, self.structures)

    def draw(self, step: tf.Tensor) -> tuple[Sequence[tf.Tensor], Sequence[tf.Tensor]]:
        """Draws a step's networks.

        Args:
            step: Scalar int, the number of training steps so far.

        Returns:
            As many scalar int32 structure indices as there are networks, from the largest network to the smallest so
            that capacity falls along the chain of teachers (DESIGN D6), and as many sizes, int32 `[2]`; the first is
            always the largest (DESIGN D8), if that is wanted.
        """
        with on_host():
            return self._drawn(step)

    def _drawn(self, step: tf.Tensor) -> tuple[Sequence[tf.Tensor], Sequence[tf.Tensor]]:
        seed = tf.stack([tf.constant(self.seed, tf.int32), tf.cast(step, tf.int32)])
        for_structures, for_sizes = tf.unstack(tf.random.split(seed, 2))
        if self.every_structure:
            structures = [tf.constant(index) for index in range(self.structures)]
        else:
            structures = [tf.constant(0), *self._assistants(for_structures), tf.constant(self.structures - 1)]
        drawn = self.networks - self.largest_first
        choices = tf.random.stateless_uniform([drawn], seed=for_sizes, maxval=len(self.sizes), dtype=tf.int32)
        pixels = [(size.height, size.width) for size in self.sizes]
        largest = [tf.constant(pixels[0])] * self.largest_first
        return structures, [*largest, *tf.unstack(tf.gather(tf.constant(pixels), choices))]

    def _assistants(self, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws two different structures, with replacement where there are too few (DESIGN D20)."""
        if self.assistants == "all":
            drawn = tf.argsort(tf.random.stateless_uniform([self.structures], seed=seed), stable=True)[:2]
        elif self.structures <= 3:
            low, high = (1, 2) if self.structures == 3 else (0, 2)
            drawn = tf.random.stateless_uniform([2], seed=seed, minval=low, maxval=high, dtype=tf.int32)
        else:
            order = tf.argsort(tf.random.stateless_uniform([self.structures - 2], seed=seed), stable=True)
            drawn = order[:2] + 1
        first, second = tf.unstack(tf.sort(drawn))
        return first, second
