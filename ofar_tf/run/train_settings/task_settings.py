"""What the networks of a run learn."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class TaskSettings(Settings):
    """What the networks of a run learn."""

    task: str = setting(
        "classification",
        "What networks learn: to tell what an image shows (classification), or to find things in it (detection).",
        choices=("classification", "detection"),
    )

    @property
    def detects(self) -> bool:
        """Whether they find things."""
        return self.task == "detection"
