"""What a step asks of an accelerator, read off its graph."""

from collections.abc import Iterator
from typing import Any

import keras
import pytest
import tensorflow as tf


@pytest.fixture(scope="module")
def functions_of(trainer_builder: Any, supernet_builder: Any, mask_drawer: Any, pool_maker: Any, batch: Any) -> Any:
    """Traces the step of four frozen structures; yields the nodes of its graph and of each function in it."""

    def functions(**arguments: Any) -> Iterator[list[Any]]:
        model = trainer_builder(supernet_builder(), **arguments)
        model.compile(keras.optimizers.SGD(0.1))
        model.freeze(pool_maker(model, mask_drawer(model)))
        step = tf.function(model.train_step, autograph=False)
        graph = step.get_concrete_function(tuple(map(tf.constant, batch))).graph.as_graph_def()
        yield list(graph.node)
        yield from (list(function.node_def) for function in graph.library.function)

    return functions


def test_no_network_of_the_loop_leaves_its_activations_behind(functions_of: Any) -> None:
    # A gradient through the loop would keep those of every network in lists, on a GPU too.
    operations = {node.op for nodes in functions_of(networks_at_once=1) for node in nodes}
    assert operations & {"While", "StatelessWhile"}
    assert not [each for each in operations if each.startswith(("TensorList", "EmptyTensorList", "Stack"))]


def test_no_more_networks_than_wanted_may_run_at_once(functions_of: Any) -> None:
    for at_once in (1, 2):
        loops = [node for nodes in functions_of(networks_at_once=at_once) for node in nodes if "While" in node.op]
        assert [loop.attr["parallel_iterations"].i for loop in loops] == [at_once] * len(loops)


def test_in_mixed_precision_each_tensor_is_rounded_once_in_a_network(functions_of: Any) -> None:
    rounded = 0
    for nodes in functions_of(dtype_policy="mixed_bfloat16"):
        casts = [
            node.input[0]
            for node in nodes
            if (node.op, node.attr["SrcT"].type, node.attr["DstT"].type)
            == ("Cast", tf.float32.as_datatype_enum, tf.bfloat16.as_datatype_enum)
        ]
        assert len(casts) == len(set(casts))
        rounded += len(casts)
    assert rounded >= 4 * 4  # The kernels of four structures.
