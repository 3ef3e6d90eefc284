"""What a step asks of an accelerator, read off its graph."""

from collections.abc import Iterator
from typing import Any

import keras
import pytest
import tensorflow as tf


@pytest.fixture(scope="module")
def traced(trainer_builder: Any, supernet_builder: Any, mask_drawer: Any, pool_maker: Any) -> Any:
    """Traces the step of four frozen structures; returns the trainer and the graph."""

    def trace(batch: Any, **arguments: Any) -> tuple[Any, Any]:
        model = trainer_builder(supernet_builder(), **arguments)
        model.compile(keras.optimizers.SGD(0.1))
        model.freeze(pool_maker(model, mask_drawer(model)))
        return model, tf.function(model.train_step, autograph=False).get_concrete_function(batch).graph

    return trace


@pytest.fixture(scope="module")
def functions_of(traced: Any, batch: Any) -> Any:
    """Yields the nodes of a step's graph and of each function in it."""

    def functions(data: Any = None, **arguments: Any) -> Iterator[list[Any]]:
        graph = traced(data or tuple(map(tf.constant, batch)), **arguments)[1].as_graph_def()
        yield list(graph.node)
        yield from (list(function.node_def) for function in graph.library.function)

    return functions


def test_no_network_of_the_loop_leaves_its_activations_behind(functions_of: Any) -> None:
    # A gradient through the loop would keep those of every network in lists, on a GPU too.
    operations = {node.op for nodes in functions_of(networks_at_once=1) for node in nodes}
    assert operations & {"While", "StatelessWhile"}
    assert not [each for each in operations if each.startswith(("TensorList", "EmptyTensorList", "Stack"))]


def test_no_more_networks_than_wanted_may_run_at_once(functions_of: Any) -> None:
    for at_once in (1, 2, 4):
        nodes = [node for nodes in functions_of(networks_at_once=at_once) for node in nodes]
        loops = [node for node in nodes if "While" in node.op]
        assert [loop.attr["parallel_iterations"].i for loop in loops] == [at_once] * len(loops)
        # What the others begin with is handed on when all gradients of the largest are there, unless all four may run.
        waited_for = [sum(name[0] == "^" for name in node.input) for node in nodes if node.op == "Identity"]
        assert (max(waited_for) > 4) == (at_once < 4)


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


def test_no_shape_is_computed_where_the_host_must_wait_for_it(functions_of: Any) -> None:
    # An H100 was waited for at each of these: a gradient stitched a shape together, an argmax looked for signs.
    any_batch = (tf.TensorSpec([None, 32, 32, 3]), tf.TensorSpec([None], tf.int64))
    operations = {node.op for nodes in functions_of(any_batch) for node in nodes}
    assert "GatherV2" in operations
    assert not operations & {"DynamicStitch", "BitwiseAnd", "Where"}


def test_what_weights_are_gathered_by_stays_on_the_accelerator(functions_of: Any) -> None:
    # TensorFlow keeps constants of 32-bit integers on the host, and would send them in every step.
    gathers = [node for nodes in functions_of() for node in nodes if node.op == "GatherV2"]
    of_weights = [node for node in gathers if node.attr["Tparams"].type == tf.float32.as_datatype_enum]
    assert len(of_weights) >= 4 * 4
    assert {node.attr["Tindices"].type for node in of_weights} == {tf.int64.as_datatype_enum}


def test_what_the_host_decides_by_is_read_from_nothing_on_the_accelerator(traced: Any, batch: Any) -> None:
    model, graph = traced(tuple(map(tf.constant, batch)))
    variables = {inside.name: variable for variable, inside in graph.captures}
    decided = [each for each in graph.get_operations() if "CPU" in each.device]
    assert decided
    before, waiting = set(), list(decided)
    while waiting:
        operation = waiting.pop()
        waiting += [each.op for each in operation.inputs if each.name not in before]
        before |= {each.name for each in operation.inputs}
    read = [variable for name, variable in variables.items() if name in before]
    assert read
    trained = [each.value.handle for each in (model.optimizer.iterations, *model.supernet.weights)]
    assert not any(one is other for one in read for other in trained)
