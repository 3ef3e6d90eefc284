"""The paper's networks as plain Keras models, and any functional Keras model of the user."""

from ofar_tf.models.mobilenet_v1 import mobilenet_v1
from ofar_tf.models.mobilenet_v2 import mobilenet_v2
from ofar_tf.models.registry import build, load, names
from ofar_tf.models.resnet import cifar_resnet, resnet50
from ofar_tf.models.resolution import check_resolutions, smallest_resolution
from ofar_tf.models.vgg import vgg16
from ofar_tf.models.wide_resnet import wide_resnet

__all__ = [
    "build",
    "check_resolutions",
    "cifar_resnet",
    "load",
    "mobilenet_v1",
    "mobilenet_v2",
    "names",
    "resnet50",
    "smallest_resolution",
    "vgg16",
    "wide_resnet",
]
