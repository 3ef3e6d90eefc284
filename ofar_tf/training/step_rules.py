"""The sandwich rules of a whole training: of the search, of joint training, and of each structure alone."""

from dataclasses import dataclass, replace

from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.text.size import Size
from ofar_tf.training.sandwich import SandwichRule
from ofar_tf.training.step_spec import StepSpec


@dataclass(frozen=True)
class StepRules:
    """The rules of each part of training.

    Attributes:
        search: While structures are searched.
        joint: Once they are frozen.
        alone: At the very end, where each trains on alone.
    """

    search: SandwichRule
    joint: SandwichRule
    alone: SandwichRule

    @classmethod
    def of(cls, pool: PoolSpec, spec: StepSpec, *, seed: int) -> "StepRules":
        """Makes the rules of a pool and of what a step does.

        Args:
            pool: Says how many structures there are, and what they may see.
            spec: Says which networks a step runs.
            seed: Seed of the draws, an int32.

        Raises:
            ValueError: If a resolution is larger than the pool's largest.
        """
        structures, every = len(pool.budgets), spec.networks_per_step == "all"
        joint = SandwichRule(structures, spec.training_sizes(pool.resolutions), seed, every, spec.assistants)
        return cls(
            replace(joint, sizes=spec.search_sizes(pool.resolutions)),
            joint,
            SandwichRule(structures, joint.sizes, seed, every_structure=True, largest_first=False),
        )

    @property
    def sizes(self) -> dict[str, tuple[Size, ...]]:
        """What networks see in a part of training, by the setting that says so."""
        return {"search_resolutions": self.search.sizes, "training_resolutions": self.joint.sizes}

    @property
    def all_sizes(self) -> list[Size]:
        """The same, the smallest first."""
        return sorted({*self.search.sizes, *self.joint.sizes})
