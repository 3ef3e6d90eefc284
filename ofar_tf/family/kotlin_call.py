"""How an app runs a file, in Kotlin."""

from ofar_tf.family.model_entry import ModelEntry
from ofar_tf.tflite.tensor_info import TensorInfo


def kotlin_image(model: ModelEntry, *, pixels: str) -> str:
    """Turns the pixels of an Android bitmap into what a file takes, on lines of its own.

    Args:
        model: The file.
        pixels: The expression that counts them, height times width.
    """
    floats = model.input.dtype == "float32"
    value = "putFloat((pixel shr shift and 255).toFloat())" if floats else "put((pixel shr shift).toByte())"
    return (
        f"val image = ByteBuffer.allocateDirect({pixels} * {12 if floats else 3}).order(ByteOrder.nativeOrder())\n"
        f"for (pixel in pixels) for (shift in listOf(16, 8, 0)) image.{value}  // ARGB to {model.input.dtype} RGB\n"
    )


def kotlin_outputs(model: ModelEntry) -> str:
    """Makes room for the output of a file, on lines of its own: of one that has several a map by their names."""
    if not model.more_outputs:
        return f"val scores = {_array(model.output)}\n"
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
