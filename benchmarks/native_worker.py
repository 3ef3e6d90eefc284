"""Native training steps in a process with TensorFlow's own threads: `benchmarks.step_time` starts it.

It reads lines with the name of a way, "native" or "stock", takes a step of each structure in it, and answers when done.
"""

import json
import sys
from collections.abc import Sequence

import tensorflow as tf

from benchmarks import networks


def main(network: str, *, rates: Sequence[float], resolutions: Sequence[int], size: int) -> None:
    """Answers each line until there are no more.

    Args:
        network: A name of `NETWORKS`.
        rates: Pruning rates of the structures, the largest structure's first.
        resolutions: What they may see, in pixels.
        size: Images of a batch.
    """
    model = networks.frozen_trainer(network, rates, resolutions, networks_per_step="all", weight_decay=0.0)
    images, labels = networks.batch(size, resolutions[0])
    target = tf.one_hot(labels, networks.CLASSES)
    ways = {name: networks.NativeSteps(model, fused=fused) for name, fused in (("native", True), ("stock", False))}
    for line in sys.stdin:
        ways[json.loads(line)].run(images, target)
        print(json.dumps("done"), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], **json.loads(sys.argv[2]))
