import json

import pytest
from ai_edge_litert.interpreter import Interpreter

from ofar_tf.checks.layer_error import LayerError
from ofar_tf.checks.layer_errors import layer_errors
from ofar_tf.checks.layer_outputs import LayerOutputs
from ofar_tf.checks.model_explorer import write_overlay


def overlay(path, errors):
    write_overlay(path, errors)
    return json.loads(path.read_text())


def test_an_overlay_has_a_value_for_each_tensor_and_a_gradient_from_the_least_to_the_most(tmp_path):
    errors = [
        LayerError("a", "ADD", 0.5, 0.25, "net/a"),
        LayerError("b", "ADD", 0.5, 0.0, "net/b"),
        LayerError("c", "MUL", 0.1, 0.1),
    ]
    written = overlay(tmp_path / "net.layers.json", errors)
    # `GraphNodeData` of ai-edge-model-explorer: results by tensor, stops 0 and 1 always there, colours in hexadecimal.
    assert set(written) == {"name", "results", "gradient"}
    assert written["results"] == {"net/a": {"value": 25.0}, "net/b": {"value": 0.0}}
    assert [each["stop"] for each in written["gradient"]] == [0, 1]
    assert all(len(each["bgColor"]) == 7 and int(each["bgColor"][1:], 16) >= 0 for each in written["gradient"])


def test_its_names_are_those_of_the_tensors_in_the_file(tmp_path, converted, network, images):
    errors = layer_errors(converted("int8"), LayerOutputs(network), images[:2])
    names = {each["name"] for each in Interpreter(model_path=str(converted("int8"))).get_tensor_details()}
    written = overlay(tmp_path / "net.layers.json", errors)["results"]
    assert len(written) == len(errors) > 0 and set(written) <= names
    assert max(each["value"] for each in written.values()) == pytest.approx(
        100 * max(e.added for e in errors), abs=1e-4
    )
