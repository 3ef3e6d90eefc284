"""MutualNet's own MobileNetV2, of a clone of its repository, trained for a step each time it is asked to.

`benchmarks.mutual_net` starts it with a Python that has PyTorch. It reads a line with the sizes of a step's four
networks and answers with the seconds and the multiply-adds of that step.
"""

import importlib
import json
import sys
import time
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

CLASSES = 10


class MutualNet:
    """Their network with a step as in their `train.py`: the largest on labels, the others taught by its output.

    Args:
        repository: Their folder, which has `models/mobilenet_v2.py`.
        macs: Multiply-adds of the networks at `size`, the largest first; widths are found that have as many.
        size: Side of the images in pixels.
        batch: Images of a step.
    """

    def __init__(self, repository: str, *, macs: Sequence[float], size: int, batch: int):
        self._torch: Any = importlib.import_module("torch")
        self._torch.manual_seed(0)
        self._model = _their_module(repository).Model(CLASSES, input_size=size)
        self._macs = 0.0
        for layer in self._model.modules():
            if isinstance(layer, (self._torch.nn.Conv2d, self._torch.nn.Linear)):
                layer.register_forward_hook(self._count)
        self._images = self._torch.rand(batch, 3, size, size)
        self._labels = self._torch.randint(CLASSES, (batch,))
        self._optimizer = self._torch.optim.SGD(self._model.parameters(), 0.01, momentum=0.9, nesterov=True)
        self._widths = [1.0, *(self._width_with(each) for each in macs[1:])]

    def step(self, sizes: Sequence[int]) -> dict[str, float]:
        """Trains for a step and returns its `seconds` and `macs`.

        Args:
            sizes: Side of the images that each network sees, in pixels, the largest network's first.
        """
        functional = self._torch.nn.functional
        views = [functional.interpolate(self._images, size=(size, size), mode="bilinear") for size in sizes]
        self._macs = 0.0
        start = time.perf_counter()
        self._optimizer.zero_grad()
        teacher = self._outputs(1.0, views[0])
        functional.cross_entropy(teacher, self._labels).backward()
        lesson = functional.softmax(teacher.detach(), dim=1)
        for width, view in zip(self._widths[1:], views[1:], strict=True):
            answer = functional.log_softmax(self._outputs(width, view), dim=1)
            functional.kl_div(answer, lesson, reduction="batchmean").backward()
        self._optimizer.step()
        return {"seconds": time.perf_counter() - start, "macs": self._macs}

    def _outputs(self, width: float, images: Any) -> Any:
        self._model.apply(lambda layer: setattr(layer, "width_mult", width))
        return self._model(images)

    def _count(self, layer: Any, inputs: Any, output: Any) -> None:
        kernel = layer.weight[0, 0].numel() if layer.weight.dim() == 4 else 1
        read = 1 if getattr(layer, "depthwise", False) else inputs[0].shape[1]
        self._macs += output[0].numel() * kernel * read

    def _width_with(self, macs: float) -> float:
        low, high = 0.05, 1.0
        with self._torch.no_grad():
            for _ in range(12):
                width, self._macs = (low + high) / 2, 0.0
                self._outputs(width, self._images[:2])
                low, high = (low, width) if self._macs > macs else (width, high)
        return low


def _their_module(repository: str) -> ModuleType:
    # Their settings come from the command line and a file; these are those that the network reads.
    settings = SimpleNamespace(
        width_mult_range=[0.05, 1.0], width_mult_list=[1.0], dataset="imagenet1k", reset_parameters=True
    )
    sys.modules["utils.config"] = ModuleType("utils.config")
    sys.modules["utils.config"].FLAGS = settings  # type: ignore[attr-defined]
    sys.path.insert(0, repository)
    return importlib.import_module("models.mobilenet_v2")


def main(repository: str, settings: str) -> None:
    """Answers each line of sizes until there are no more."""
    network = MutualNet(repository, **json.loads(settings))
    for line in sys.stdin:
        print(json.dumps(network.step(json.loads(line))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
