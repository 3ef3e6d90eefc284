"""How an app runs a file, in Kotlin."""

from ofar_tf.family.model_entry import ModelEntry
from ofar_tf.tflite.tensor_info import TensorInfo


def kotlin_outputs(model: ModelEntry) -> str:
    """Makes room for the outputs of a file that has several: a map by their names, on lines of its own; else empty."""
    if not model.more_outputs:
        return ""
    entries = (f'    "{each.name}" to {_array(each)},\n' for each in (model.output, *model.more_outputs))
    return f"val outputs = mapOf(\n{''.join(entries)})\n"


def kotlin_run(model: ModelEntry, *, interpreter: str) -> str:
    """Runs a file on an image, by the names of its outputs where it has several: nobody knows their order.

    Args:
        model: The file.
        interpreter: The expression that has it.
    """
    if not model.more_outputs:
        return f"{interpreter}.run(image, scores)"
    return f'{interpreter}.runSignature(mapOf("{model.input.name}" to image), outputs)'


def _array(info: TensorInfo) -> str:
    *outer, last = info.shape
    text = f"{'FloatArray' if info.dtype == 'float32' else 'ByteArray'}({last})"
    for size in reversed(outer):
        text = f"Array({size}) {{ {text} }}"
    return text
