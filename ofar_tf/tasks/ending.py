"""What files compute behind their `.keras` network, told so that another process can compute it too."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from ofar_tf.files.json_values import from_json
from ofar_tf.text.size import Size

Tail = Callable[[Any, Size], Any]
"""Outputs of a network for one image, as tensors, and the size that it saw, to what the file returns."""


@dataclass(frozen=True)
class Ending:
    """A frozen dataclass that is called, as JSON values.

    Attributes:
        name: Where it is, as `module:class`.
        settings: Its fields.
    """

    name: str
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, tail: Any) -> Self:
        """Describes a dataclass that is a `Tail`."""
        kind = type(tail)
        return cls(f"{kind.__module__}:{kind.__qualname__}", asdict(tail))

    def load(self) -> Tail:
        """Makes it again.

        Raises:
            ValueError: If the settings are not its fields.
        """
        module, _, name = self.name.partition(":")
        tail: Tail = from_json(getattr(importlib.import_module(module), name), dict(self.settings), where=self.name)
        return tail
