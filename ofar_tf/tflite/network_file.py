"""A TFLite file, run through LiteRT with images in 0..255 whatever its input type."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from ofar_tf.text.quiet import quiet_start
from ofar_tf.tflite.tensor_info import TensorInfo

_IMAGE_RANGE = (0.0, 255.0)


class TFLiteNetwork:
    """A TFLite file with one image input.

    Args:
        path: The file.
        ranges: Smallest and largest real value of outputs that have bounds, by the name of the output.
        allocate: Whether to make it ready to run; without, only `input` and `outputs` can be read.

    Attributes:
        input: The image, [1, h, w, 3], values in 0..255.
        outputs: What it returns, in the order of its signature's names where it has one.

    Raises:
        ValueError: If the file is not TFLite or has several inputs or no output.
        RuntimeError: If LiteRT cannot make it ready, for instance for want of an operator.
    """

    def __init__(
        self, path: str | Path, *, ranges: Mapping[str, tuple[float, float]] | None = None, allocate: bool = True
    ) -> None:
        # One thread: evaluating images in parallel by several interpreters is twice as fast as one with as many threads
        # (2.9 and 1.4 times one thread's speed on four cores, MobileNetV2 at 96 px).
        self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or not outputs:
            raise ValueError(
                f"Expected one input and at least one output. Received: {len(inputs)} and {len(outputs)} in {path}."
            )
        signature: dict[str, list[str]] = next(iter(self._interpreter.get_signature_list().values()), {})
        names = self._output_names(outputs, signature.get("outputs", []))
        self._source = inputs[0]["index"]
        self._targets = [details["index"] for _, details in names]
        self.input = _tensor_info(
            inputs[0], name=next(iter(signature.get("inputs", [])), inputs[0]["name"]), real_range=_IMAGE_RANGE
        )
        self.outputs = tuple(
            _tensor_info(details, name=name, real_range=(ranges or {}).get(name)) for name, details in names
        )
        if allocate:
            with quiet_start():  # XNNPACK says that it is there.
                self._interpreter.allocate_tensors()

    def run(self, images: np.ndarray) -> Any:
        """Runs the file on images, one after the other.

        Args:
            images: [B, h, w, 3], values in 0..255, uint8 or float.

        Returns:
            Real values in float32, the images first: an array, or of a file with several outputs a dictionary of
            arrays by name.
        """
        stored = self.input.to_stored(np.asarray(images))
        columns = list(zip(*(self._run(image[np.newaxis]) for image in stored), strict=True))
        if not columns:
            columns = [() for _ in self.outputs]
        arrays = [
            info.to_real(np.stack(rows)) if rows else np.zeros((0, *info.shape[1:]), np.float32)
            for info, rows in zip(self.outputs, columns, strict=True)
        ]
        if len(arrays) == 1:
            return arrays[0]
        return {info.name: array for info, array in zip(self.outputs, arrays, strict=True)}

    def _run(self, image: np.ndarray) -> list[np.ndarray]:
        self._interpreter.set_tensor(self._source, image)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(target)[0] for target in self._targets]

    def _output_names(self, outputs: list[dict[str, Any]], names: list[str]) -> list[tuple[str, dict[str, Any]]]:
        """Pairs outputs with their names in the signature, which lists them in an order of its own."""
        if len(names) != len(outputs):
            return [(details["name"], details) for details in outputs]
        if len(outputs) == 1:
            return [(names[0], outputs[0])]
        runner = self._interpreter.get_signature_runner()
        by_index = {details["index"]: details for details in outputs}
        found = runner.get_output_details()
        return [(name, by_index[found[name]["index"]]) for name in names]


def _tensor_info(details: dict[str, Any], *, name: str, real_range: tuple[float, float] | None) -> TensorInfo:
    scale, zero_point = details["quantization"]
    quantized = not np.issubdtype(details["dtype"], np.floating)
    return TensorInfo(
        name=name,
        dtype=np.dtype(details["dtype"]).name,
        shape=tuple(int(size) for size in details["shape_signature"]),
        range=real_range,
        scale=float(scale) if quantized else None,
        zero_point=int(zero_point) if quantized else None,
    )
