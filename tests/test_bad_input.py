"""A user's mistake is one line that says what was expected and what was received, before anything is trained."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from ofar_tf.run.train_config import TrainConfig
from ofar_tf.run.training_run import prepare

SOUND = (
    "--model=resnet8",
    "--resolutions=28,24",
    "--pruning_rates=0,0.3",
    "--epochs=2",
    "--search_epochs=1",
    "--batch_size=32",
    "--augmentation=none",
    "--train_split=train[:64]",
)
BUDGETS = "--pruning_rates="  # In the place of rates.
READABLE = "data_dir/<split>/<class>/*.jpg or data_dir/<class>/*.jpg (.png, .bmp, .webp, .gif as well)"

MISTAKES = [
    # What a structure may cost. ResNet-8 has 9,571,712 MACs at 28 px, and 2,459,264 where its three prunable groups of
    # 16, 32 and 64 channels keep 4, 8 and 8: then 92 of 112 channels are gone.
    (["--pruning_rates=0.9"], "Expected a pruning rate of at most 0.821, which min_channels and channel_round_to "
     "still allow. Received: rate=0.9."),
    (["--pruning_rates=0.1,0.1"], "Expected at least two budgets, all different. Received: rate10, rate10."),
    (["--pruning_rates=0.1,1.3"], "Expected --pruning_rates in [0, 1). Received: 1.3."),
    (["--pruning_rates=0,0.95"], "Expected a pruning rate of at most 0.821, which min_channels and channel_round_to "
     "still allow. Received: rate=0.95."),
    ([BUDGETS, "--macs_budgets=500M,9M"], "Expected MACs budgets of at most the supernet's 9.57M at 28 px. "
     "Received: 500M."),
    ([BUDGETS, "--macs_budgets=9M,1K"], "Expected MACs budgets of at least 2.46M, which min_channels and "
     "channel_round_to still allow. Received: 1K."),
    # Sizes.
    (["--resolutions=28,2"], "Expected --resolutions for resnet8 of at least 4, its stride. Received: 2."),
    (["--search_resolutions=3"], "Expected --search_resolutions for resnet8 of at least 4, its stride. Received: 3."),
    (["--model={files}/fixed.keras"], "Expected --resolutions for fixed of exactly 32, its fixed input size. "
     "Received: 28."),
    (["--eval_resize=20"], "Expected a resize of at least the resolution, 28 pixels. Received: resize=20."),
    # Models.
    (["--model=resnet_20"], "Expected a path ending in .keras or .h5, keras.applications:NAME, "
     "package.module:function, file.py:function or one of efficientnet_lite0, efficientnet_lite1, efficientnet_lite2, "
     "efficientnet_lite3, efficientnet_lite4, "
     "mobilenet_v1, mobilenet_v2, resnet20, resnet50, resnet50_v1, resnet56, vgg16, wide_resnet_16_4, "
     "wide_resnet_28_10. Received: 'resnet_20'. Did you mean resnet20?"),
    (["--model={files}/none.keras"], "Expected a saved Keras model. Received: {files}/none.keras, which does not "
     "exist."),
    (["--model={files}/subclassed.keras"], "Expected a functional Keras model, made by keras.Model(inputs, outputs), "
     "or one whose call applies layers and keras.ops alone, with all its kernels in these layers. "
     "Received: {files}/subclassed.keras, which gives a {module}.Subclassed: its call itself uses weight 'scale', "
     "which no layer inside applies."),
    (["--model={files}/seven.keras"], "Expected a model with one output [batch, 10], a logit for each class of the "
     "data set. Received: {files}/seven.keras with output shapes [(None, 7)]; new_head=True (--new_head) gives it a "
     "head for these classes."),
    (["--model={files}/seven.keras", "--width_multiplier=2"], "Expected width_multiplier=1 for a saved model, whose "
     "channels are fixed. Received: width_multiplier=2.0 with {files}/seven.keras."),
    (["--model={files}/seven.keras", "--dropout=0.2"], "Expected dropout for {files}/seven.keras with new_head=True "
     "only. Received: dropout=0.2."),
    (["--new_head"], "Expected new_head with a saved model or a function that builds one; all other networks are built "
     "for the classes of the data set. Received: new_head=True with resnet8."),
    (["--dropout=1"], "Expected --dropout of at most 0.99. Received: 1.0."),
    (["--pretrained=imagenet"], "Expected pretrained=imagenet with keras.applications:NAME, efficientnet_lite0, "
     "efficientnet_lite1 or efficientnet_lite2, whose weights are published. Received: resnet8; pretrained=PATH takes "
     "a file."),
    (["--model=keras.applications:MobileNetV2", "--pretrained=imagenet"], "Expected download=True (--download) with "
     "pretrained=imagenet: Keras fetches the weights of MobileNetV2, once. Received: download=False; without a "
     "network, pretrained=PATH (--pretrained=PATH) takes a file."),
    (["--pretrained={files}/none.keras"], "Expected a file of weights. Received: {files}/none.keras, which does not "
     "exist."),
    (["--pretrained={files}/seven.keras"], "Expected weights of a network like resnet8. Received: "
     "{files}/seven.keras, which fits 0 of its 19 layers."),
    (["--pretrained=a.keras", "--initial_weights=b.keras"], "Expected one of --pretrained and --initial_weights. "
     "Received: pretrained=a.keras, initial_weights=b.keras."),
    (["--initial_weights={files}/none.weights.h5"], "Expected --initial_weights to be a .keras or .weights.h5 file "
     "that exists. Received: '{files}/none.weights.h5'."),
    (["--initial_weights={files}/seven.keras"], "Expected --initial_weights of the shapes of resnet8. "
     "Received: {files}/seven.keras, whose weights differ."),
    # Data.
    (["--dataset=image_folder"], "Expected the folder with the images. Received: dataset='image_folder' with "
     "data_dir=None."),
    (["--dataset=image_folder", "--data_dir={files}/none"], f"Expected a folder with images as {READABLE}. "
     "Received: data_dir={files}/none (not a folder)."),
    (["--dataset=cifar10", "--data_dir={files}/none"], "Expected cifar10 prepared in {files}/none/cifar10/3.0.2 (to "
     "prepare it: --download, or `tfds build cifar10 --data_dir={files}/none`). Received: no such data set there."),
    (["--train_split=training"], "Expected one of the splits train, test. Received: split='training'."),
    (["--eval_split=validation"], "Expected one of the splits train, test. Received: split='validation'."),
    (["--train_split=train[:80%]", "--eval_split=train[70%:]"], "Expected train_split and eval_split to share no "
     "example. Received: train_split='train[:80%]' and eval_split='train[70%:]', which share 500."),
    (["--calibration_split=test[2000:]"], "Expected a slice within the 1000 examples of the split. "
     "Received: split='test[2000:]'."),
    (["--batch_size=65"], "Expected a batch size from 1 to the 64 examples of 'train[:64]'. Received: batch_size=65."),
    # The folder.
    (["--run_dir={files}/seven.keras/run"], "Expected a --run_dir that can be written. "
     "Received: {files}/seven.keras/run (Not a directory)."),
    (["--run_dir={files}"], "Expected a run, an empty folder or no folder yet. Received: --run_dir={files}, which "
     "holds something else."),
]  # fmt: skip


def classifier(name: str, *, size: int | None = None, classes: int = 10) -> keras.Model:
    image = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(16, 3, padding="same")(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    # What is flattened fixes the size.
    x = keras.layers.Flatten()(x) if size else keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(x))
    return keras.Model(image, keras.layers.Dense(classes)(x), name=name)


@keras.saving.register_keras_serializable("test_bad_input")
class Subclassed(keras.Model):
    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.head = keras.layers.Dense(10)
        self.scale = self.add_weight(shape=(10,))

    def build(self, shape: Any) -> None:
        self.head.build((None, 3))

    def call(self, images: Any) -> Any:
        return self.head(keras.ops.mean(images, axis=(1, 2))) * keras.ops.cumsum(self.scale)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that cannot be trained, each for a reason of its own."""
    folder = tmp_path_factory.mktemp("files")
    classifier("fixed", size=32).save(folder / "fixed.keras")
    classifier("seven", classes=7).save(folder / "seven.keras")
    image = keras.Input((None, None, 3))
    plain = keras.Model(image, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(image)), name="plain")
    plain.save(folder / "plain.keras")
    model = Subclassed()
    model.build((None, 28, 28, 3))
    model.save(folder / "subclassed.keras")
    return folder


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_a_mistake_is_named_before_a_folder_is_made(
    arguments: list[str], sentence: str, files: Path, tmp_path: Path, parse_command: Callable[..., TrainConfig]
) -> None:
    given = [argument.replace("{files}", str(files)) for argument in arguments]
    with pytest.raises((ValueError, OSError)) as caught:
        prepare(parse_command(TrainConfig, *SOUND, f"--run_dir={tmp_path / 'run'}", *given))
    assert str(caught.value) == sentence.replace("{files}", str(files)).replace("{module}", __name__)
    assert list(tmp_path.iterdir()) == []


def test_the_settings_that_the_mistakes_start_from_are_sound(
    tmp_path: Path, parse_command: Callable[..., TrainConfig]
) -> None:
    run = prepare(parse_command(TrainConfig, *SOUND, f"--run_dir={tmp_path / 'run'}"))
    assert run is not None
    assert run.epochs_done == 0
    assert (tmp_path / "run" / "config.json").is_file()


@pytest.mark.parametrize(
    ("model", "start"),
    [
        ("plain.keras", "Expected a model with channels that can be pruned. Received: "),
        ("text.keras", "Expected a .keras file that Keras can read. Received: "),
    ],
)
def test_a_model_that_cannot_be_read_or_ranked_is_named(
    model: str, start: str, files: Path, tmp_path: Path, parse_command: Callable[..., TrainConfig]
) -> None:
    (files / "text.keras").write_text("not a model")
    with pytest.raises(ValueError) as caught:
        prepare(parse_command(TrainConfig, *SOUND, f"--model={files / model}", f"--run_dir={tmp_path / 'run'}"))
    assert str(caught.value).startswith(start)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_data_set_is_named_with_similar_ones(
    tmp_path: Path, parse_command: Callable[..., TrainConfig]
) -> None:
    with pytest.raises(ValueError) as caught:
        prepare(parse_command(TrainConfig, *SOUND, f"--run_dir={tmp_path / 'run'}", "--dataset=cifar11"))
    assert str(caught.value).startswith("Expected a data set that is bundled, a folder or known to tensorflow-datasets")
    assert "cifar10" in str(caught.value)


@pytest.mark.parametrize(
    ("command", "arguments", "line"),
    [
        ("train", ["--epoch=3"], "Expected a flag that --help lists. Received: --epoch. Did you mean --epochs?"),
        ("train", [*SOUND, "--run_dir={tmp}/run", "--dataset=cifar10", "--data_dir={tmp}"], "Expected cifar10 prepared "
         "in {tmp}/cifar10/3.0.2 (to prepare it: --download, or `tfds build cifar10 --data_dir={tmp}`). "
         "Received: no such data set there."),
        ("evaluate", ["--run_dir={tmp}"], "Expected a run of ofar train in {tmp}. Received: no config.json there."),
        ("export", ["--run_dir={tmp}"], "Expected a run of ofar train in {tmp}. Received: no config.json there."),
        ("select", ["--run_dir={tmp}"], "Expected a flag that --help lists. Received: --run_dir."),
        ("select", ["--export_dir=e", "--max_macs=1X"], "Expected a positive quantity such as 120M, 2.5G or 750K. "
         "Received: '1X'."),
    ],
)  # fmt: skip
def test_a_command_ends_with_one_line_and_status_2(
    command: str, arguments: list[str], line: str, tmp_path: Path, run_command: Any
) -> None:
    given = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    if command in ("evaluate", "export"):  # Their processes take seconds to load TensorFlow; one does for all.
        ended = run_command(command, *given)
    else:
        ended = subprocess.run([sys.executable, "-m", f"ofar_tf.{command}", *given], capture_output=True, text=True)
    assert ended.stderr == f"Error: {line}\n".replace("{tmp}", str(tmp_path))
    assert ended.stdout == ""
    assert ended.returncode == 2
    assert list(tmp_path.iterdir()) == []
