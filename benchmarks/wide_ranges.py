"""What quantization-aware training repairs: a family whose channels were made to differ in range.

    python -m benchmarks.wide_ranges --run_dir=RUN --export_dir=FOLDER

RUN is a finished run of a ResNet for CIFAR. Each channel of the first convolution of a block is multiplied by a factor
of its own, drawn between 1/F and F on a logarithmic scale, and what the second one reads of it is divided by that: with
a ReLU between them the float network is the same, to rounding. Activations of 8 bits share one scale, which leaves
little of the small channels.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

import ofar_tf
from ofar_tf.family.family_table import print_family


def widen(supernet: keras.Model, *, factor: float, seed: int) -> None:
    """Makes the channels within blocks differ in range, in place.

    Args:
        supernet: A ResNet for CIFAR.
        factor: Channels are multiplied by up to this, and by no less than its inverse; at least 1.
        seed: Of the draws.
    """
    random = np.random.default_rng(seed)
    for first in [layer.name for layer in supernet.layers if layer.name.endswith("_conv1")]:
        norm, second = supernet.get_layer(f"{first}_bn"), supernet.get_layer(first[:-1] + "2")
        factors = np.exp(random.uniform(-np.log(factor), np.log(factor), norm.gamma.shape[0])).astype(np.float32)
        norm.gamma.assign(norm.gamma * factors)
        norm.beta.assign(norm.beta * factors)
        second.kernel.assign(second.kernel / factors[:, None])


def main() -> None:
    """Widens, exports and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run_dir", type=Path, required=True)
    parser.add_argument("--export_dir", type=Path, required=True)
    parser.add_argument("--factor", type=float, default=10.0)
    arguments = parser.parse_args()
    family = ofar_tf.load(arguments.run_dir)
    widen(family.supernet, factor=arguments.factor, seed=0)
    result = family.export(arguments.export_dir, precisions=("float32", "int8", "qat"), latency_threads=0)
    print_family(result.manifest)


if __name__ == "__main__":
    main()
