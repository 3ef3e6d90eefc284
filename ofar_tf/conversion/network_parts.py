"""A network in two parts: what is converted with fewer bits, and what follows it in floats.

The converter rounds all of a graph or nothing of it. Where the last layers, or what a file computes behind them, cannot
bear that, both parts are converted by themselves and joined (`ofar_tf.tflite.joined_files`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.conversion.converter import SIGNATURE, SavedNetwork, saved_network
from ofar_tf.conversion.jobs import ConversionJob
from ofar_tf.conversion.precision import precision_named
from ofar_tf.files.scratch_folder import scratch_folder
from ofar_tf.models.functional_graph import Graph, GraphCall, graph_of
from ofar_tf.tasks.ending import Tail
from ofar_tf.text.patterns import matches
from ofar_tf.text.size import Size
from ofar_tf.tflite.joined_files import joined


@contextmanager
def in_parts(model: keras.Model) -> Iterator[Callable[[ConversionJob], bytes]]:
    """Makes a network ready to be converted by jobs with an ending or layers in floats.

    Args:
        model: The network.

    Yields:
        What makes the content of the file of each job inside the block.
    """
    size = Size.of(tuple(model.input_shape[1:3]))
    with ExitStack() as stack:

        @cache
        def parts(names: tuple[str, ...]) -> tuple[SavedNetwork, keras.Model, keras.Model | None]:
            first, last = split(model, names) if names else (model, None)
            return stack.enter_context(saved_network(first)), first, last

        def convert_job(job: ConversionJob) -> bytes:
            names = job.float_layers if precision_named(job.precision).calibrated else ()
            network, first, last = parts(names)
            images = job.load_images()
            content = network.converted(job.precision, representative_images=images, float_outputs=True)
            if not last and not job.ending:
                return content
            return joined(content, convert_tail(first, last, job.ending.load() if job.ending else None, size=size))

        yield convert_job


def split(model: keras.Model, names: Sequence[str]) -> tuple[keras.Model, keras.Model]:
    """Cuts a network in two.

    Args:
        model: A functional model of one input.
        names: Patterns of the layers that the second part begins with; what follows them is in it too.

    Returns:
        The first, which returns a dictionary of what the second takes by the same names, and the second.

    Raises:
        ValueError: If no layer fits.
    """
    graph = graph_of(model)
    behind: set[int] = set()
    calls: list[GraphCall] = []
    entering: dict[int, Any] = {}
    for call in graph.calls:
        if not matches(call.operation.name, names) and not any(id(each) in behind for each in call.tensors):
            continue
        entering.update({id(each): each for each in call.tensors if id(each) not in behind})
        behind.update(map(id, keras.tree.flatten(call.outputs)))
        calls.append(call)
    if not calls:
        raise ValueError(f"Expected layers of the names {', '.join(names)}. Received: none in {model.name}.")
    # An output that needs nothing of the second part passes through it.
    entering.update({id(each): each for each in graph.outputs if id(each) not in behind})
    cut = {f"part_{index:02d}": tensor for index, tensor in enumerate(entering.values())}
    first = keras.Model(graph.inputs[0], cut, name=f"{model.name}_first")
    inputs = {name: keras.Input(batch_shape=tensor.shape, name=name) for name, tensor in cut.items()}
    ends = Graph(tuple(cut.values()), tuple(calls), graph.outputs).run(list(inputs.values()), call=_again)
    return first, keras.Model(inputs, keras.tree.pack_sequence_as(model.output, ends), name=f"{model.name}_last")


def _again(operation: Any, *args: Any, **kwargs: Any) -> Any:
    return operation(*args, **kwargs)


def convert_tail(first: keras.Model, last: keras.Model | None, ending: Tail | None, *, size: Size) -> bytes:
    """Converts what follows a network, in floats.

    Args:
        first: The network; its outputs are what is taken.
        last: Its last layers; None where `first` is all of it.
        ending: What a file computes behind them; None for nothing.
        size: What the network sees.

    Returns:
        A file whose signature takes the outputs of `first` by their names.
    """
    names = sorted(first.output)

    def serve(*tensors: tf.Tensor) -> Any:
        outputs = dict(zip(names, tensors, strict=True))
        outputs = last(outputs, training=False) if last else outputs
        return ending(outputs, size) if ending else outputs

    specs = [tf.TensorSpec([1, *first.output[name].shape[1:]], tf.float32, name=name) for name in names]
    with scratch_folder("parts") as folder:
        if last:
            archive = keras.export.ExportArchive()
            archive.add_endpoint(SIGNATURE, serve, input_signature=specs)
            archive.write_out(str(folder), verbose=False)
        else:
            module = tf.Module()
            module.serve = tf.function(serve, input_signature=specs)
            tf.saved_model.save(module, str(folder), signatures={SIGNATURE: module.serve})
        return tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[SIGNATURE]).convert()
