"""Gradient checkpointing: a network that forgets most of what its layers return, and computes it once more.

The backward pass of a network reads what each layer returned. Here the network is cut into segments, and only what
passes from one to the next is held; the backward pass runs a segment forward again before it goes through it (Chen et
al., 2016, arXiv 1604.06174). The last segment is not run twice: its backward pass begins where its forward pass ends.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.models.functional_graph import Graph, graph_of
from ofar_tf.pruning.functional_model import image_shape
from ofar_tf.text.size import Size

CHECKPOINTED = ("none", "largest", "all")
"""Which networks of a pool are run so."""

Forward = Callable[[Sequence[Any], Sequence[Any], Any], Any]
"""Trainable values, other values and images to what a network returns in training, as `stateless_call` takes them."""


def holding(network: keras.Model) -> Forward:
    """Runs a network once; everything that its backward pass reads is held."""
    return lambda trained, others, images: network.stateless_call(trained, others, images, training=True)[0]


def recomputing(network: keras.Model, *, size: Size) -> Forward:
    """Runs a network in segments, all but the last of them twice.

    Random layers draw the same both times, since their state is among the values that are given. What layers assign to
    their states is dropped, so nothing is counted twice.

    Args:
        network: A flat functional model of one input.
        size: What it sees at most: where it is cut depends on what its layers return for it.

    Raises:
        ValueError: If it cannot be cut: nowhere is a single tensor all that the rest of it reads.
    """
    segments = segments_of(network, size=size)
    places = [{id(each): place for place, each in enumerate(network.trainable_variables)}]
    places += [{id(each): place for place, each in enumerate(network.non_trainable_variables)}]

    def run(trained: Sequence[Any], others: Sequence[Any], images: Any) -> Any:
        passed = images
        for segment in segments:
            weights = [trained[places[0][id(each)]] for each in segment.trainable_variables]
            states = [others[places[1][id(each)]] for each in segment.non_trainable_variables]
            forward = partial(_run_segment, segment, states)
            passed = (forward if segment is segments[-1] else tf.recompute_grad(forward))(passed, *weights)
        return passed

    return run


def _run_segment(segment: keras.Model, states: Sequence[Any], inputs: Any, *weights: Any) -> Any:
    outputs, _ = segment.stateless_call(list(weights), states, inputs, training=True)
    return outputs


def segments_of(network: keras.Model, *, size: Size) -> list[keras.Model]:
    """Cuts a network where that leaves least to be held.

    Args:
        network: See `recomputing`, as `size`.
        size: See there.

    Returns:
        At least two models of its layers, each of which takes what the one before it returns.

    Raises:
        ValueError: See there.
    """
    graph = graph_of(network)
    cuts = dict(_cuts(graph))
    taken = _best(list(cuts), numbers_returned(network, size=size))
    if not taken:
        raise ValueError(
            "Expected a network in a row for gradient checkpointing: one with a layer in its middle whose output is "
            f"all that the layers behind it read. Received: {network.name}, which has none."
        )
    ends = [*(cuts[place] for place in taken), keras.tree.pack_sequence_as(network.output, list(graph.outputs))]
    return [keras.Model(begin, end) for begin, end in zip([graph.inputs[0], *ends[:-1]], ends, strict=True)]


def _cuts(graph: Graph) -> Iterator[tuple[int, Any]]:
    """Yields after which calls one tensor is all that is still read, and that tensor.

    No layer is called on both sides of a cut: a random one would draw the same numbers again.
    """
    made: dict[int, tuple[int, Any]] = {}
    read: dict[int, int] = {}
    called: dict[int, tuple[int, int]] = {}
    for place, call in enumerate(graph.calls):
        made.update({id(tensor): (place, tensor) for tensor in keras.tree.flatten(call.outputs)})
        read.update({id(tensor): place for tensor in call.tensors})
        called[id(call.operation)] = called.get(id(call.operation), (place,))[0], place
    read.update({id(tensor): len(graph.calls) for tensor in graph.outputs})
    for cut in range(len(graph.calls) - 1):
        passed = [tensor for key, (place, tensor) in made.items() if place <= cut < read.get(key, -1)]
        is_past_the_image = read[id(graph.inputs[0])] <= cut
        if len(passed) == 1 and is_past_the_image and not any(first <= cut < last for first, last in called.values()):
            yield cut, passed[0]


def numbers_returned(network: keras.Model, *, size: Size) -> list[int]:
    """Counts the numbers that each call of a layer returns for an image of a size."""
    image = keras.Input(batch_shape=image_shape(network.inputs[0], size, batch=1))
    calls = graph_of(network, inputs=[image]).calls
    return [sum(prod(tensor.shape[1:]) for tensor in keras.tree.flatten(call.outputs)) for call in calls]


def _best(cuts: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Chooses cuts so that what passes them and the largest segment are together as small as possible."""
    until = [0, *accumulate(sizes)]

    def held(taken: Sequence[int]) -> int:
        ends = [0, *(cut + 1 for cut in taken), len(sizes)]
        segments = [until[end] - until[begin] for begin, end in pairwise(ends)]
        return sum(sizes[cut] for cut in taken) + max(segments)

    def limited(most: float) -> list[int]:
        taken: list[int] = []
        begin = 0
        for cut, following in zip(cuts, [*cuts[1:], len(sizes) - 1], strict=False):
            if until[following + 1] - begin > most:
                taken.append(cut)
                begin = until[cut + 1]
        return taken

    return min((limited(until[-1] / parts) for parts in range(1, len(cuts) + 2)), key=held)
