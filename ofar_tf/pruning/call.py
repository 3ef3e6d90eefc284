"""One call of a layer or Keras operation, as the rules of the channels see it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ofar_tf.pruning.propagation import Channels, Flow, Ids, Propagation


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer.

    Attributes:
        layer: The layer or Keras operation.
        inputs: What is known of each input tensor, in order.
        args: The positional arguments of the call.
        kwargs: The keyword arguments of the call.
        shapes: Static shapes of the outputs, `None` where unknown.
        tensors: What is known of the input tensors, by `id`.
    """

    layer: Any
    inputs: Sequence[Channels]
    args: Sequence[Any]
    shapes: Sequence[tuple[int | None, ...]]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[int, Channels] = field(default_factory=dict)

    @property
    def ids(self) -> Ids:
        """The channels of the first input."""
        return self.inputs[0].ids

    @property
    def axis(self) -> int:
        """The axis of the first input that holds its channels, counted from the front."""
        return self.inputs[0].axis + len(self.inputs[0].shape)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The static shape of the first output."""
        return self.shapes[0]

    @property
    def title(self) -> str:
        """Kind and name of the layer, for messages."""
        return f"{type(self.layer).__name__} {self.layer.name!r}"

    def is_channels(self, axis: int) -> bool:
        """Returns whether an axis of the first input is its channel axis."""
        return axis % len(self.inputs[0].shape) == self.axis


Rule = Callable[[Propagation, Call], Sequence[Flow]]


def unchanged(found: Propagation, call: Call) -> Sequence[Flow]:
    """The rule of what leaves each channel where it is."""
    return [call.inputs[0]]


def on_last_axis(rule: Rule) -> Rule:
    """Returns a rule that gives up where the last axis of an input holds no channels."""

    def checked(found: Propagation, call: Call) -> Sequence[Flow]:
        if any(tensor.axis != -1 for tensor in call.inputs):
            raise NotImplementedError("does not find its channels on the last axis")
        return rule(found, call)

    return checked
