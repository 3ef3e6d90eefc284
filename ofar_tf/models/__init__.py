"""Networks as plain Keras models: the paper's, EfficientNet-Lite, Keras' own, the user's, and detectors on any."""

from ofar_tf.models.applications import application
from ofar_tf.models.efficientnet_lite import efficientnet_lite
from ofar_tf.models.loading import is_users, load
from ofar_tf.models.mobilenet_v1 import mobilenet_v1
from ofar_tf.models.mobilenet_v2 import mobilenet_v2
from ofar_tf.models.registry import build, names
from ofar_tf.models.resnet import cifar_resnet, resnet50
from ofar_tf.models.resolution import check_resolutions, smallest_resolution
from ofar_tf.models.teacher import read_teacher
from ofar_tf.models.vgg import vgg16
from ofar_tf.models.wide_resnet import wide_resnet

__all__ = [
    "application",
    "build",
    "check_resolutions",
    "cifar_resnet",
    "efficientnet_lite",
    "is_users",
    "load",
    "mobilenet_v1",
    "mobilenet_v2",
    "names",
    "read_teacher",
    "resnet50",
    "smallest_resolution",
    "vgg16",
    "wide_resnet",
]
