import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from ofar_tf.models.user_modules import UserModule, UserModules
from ofar_tf.run.experiment import Experiment
from ofar_tf.run.run_dir import RunDir
from ofar_tf.run.run_facts import RunFacts, facts_of, keep_facts, network_digest, read_facts
from ofar_tf.run.train_config import TrainConfig


@pytest.fixture
def photos(tmp_path: Path, write_photos: Callable[..., Path]) -> Path:
    return write_photos(tmp_path / "photos", train=4, test=3)


def experiment(photos: Path, **changes: Any) -> Experiment:
    settings: dict[str, Any] = {
        "run_dir": "r",
        "dataset": "image_folder",
        "data_dir": str(photos),
        "model": "resnet8",
        "pruning_rates": (0.0, 0.3),
        "resolutions": (16,),
        "batch_size": 4,
    }
    return Experiment(TrainConfig(**{**settings, **changes}))


def facts(photos: Path, **changes: Any) -> RunFacts:
    made = experiment(photos, **changes)
    return facts_of(made, made.build_supernet(), UserModules())


def test_the_facts_of_a_run_survive_their_file(photos: Path, tmp_path: Path) -> None:
    module = UserModule("nets", "/home/ada/nets.py", "0" * 64)
    found = dataclasses.replace(facts(photos, gradient_accumulation=2), user_modules=UserModules((module,), True))
    (tmp_path / "facts.json").write_text(found.to_json())
    assert read_facts(tmp_path / "facts.json") == found
    assert found.data.class_names == ("cat", "dog", "rabbit")
    assert [(split.use, split.split, split.images) for split in found.splits] == [
        ("train", "train", 12),
        ("calibration", "train", 12),
        ("evaluation", "test", 9),
    ]
    # 16 px times 256/224, for random resized crops; two parts on one device.
    assert (found.preprocessing.resolution, found.preprocessing.resize, found.batch_norm_parts) == (16, 18, 2)


def rename(photos: Path) -> None:
    for split in photos.iterdir():
        (split / "cat").rename(split / "persian_cat")


def add(photos: Path) -> None:
    for split in photos.iterdir():
        shutil.copytree(split / "cat", split / "bird")


def remove(photos: Path) -> None:
    for split in photos.iterdir():
        shutil.rmtree(split / "dog")


@pytest.mark.parametrize(
    ("change", "received"),
    [(rename, "without 'cat' and with 'persian_cat'"), (add, "with 'bird'"), (remove, "without 'dog'")],
)
@pytest.mark.parametrize("version", ["now", "0.1.0"])
def test_classes_that_changed_since_a_run_began_are_refused_in_one_line(
    photos: Path, tmp_path: Path, change: Any, received: str, version: str
) -> None:
    run_dir, before = RunDir(tmp_path), facts(photos)
    run_dir.labels.write_text("cat\ndog\nrabbit\n")
    if version == "now":
        keep_facts(run_dir, before, experiment(photos).images.dataset)
    change(photos)
    with pytest.raises(ValueError, match=r"^Expected the 3 classes that the run was trained on, in") as caught:
        keep_facts(run_dir, facts(photos), experiment(photos).images.dataset)
    assert received in str(caught.value) and "\n" not in str(caught.value)
    assert run_dir.facts.exists() == (version == "now")


def test_a_run_of_version_0_1_0_that_goes_on_gets_facts(photos: Path, tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.labels.write_text("cat\ndog\nrabbit\n")
    assert read_facts(run_dir.facts) is None
    keep_facts(run_dir, facts(photos), experiment(photos).images.dataset)
    assert read_facts(run_dir.facts) == facts(photos)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_that_lost_images_is_refused(photos: Path, split: str) -> None:
    before = facts(photos)
    before.require_same_data(experiment(photos).images.dataset)
    (photos / split / "dog" / "1.png").unlink()
    with pytest.raises(ValueError, match=rf"^Expected the \d+ images that split '{split}' held when the run began"):
        before.require_same_data(experiment(photos).images.dataset)


def test_data_that_has_only_moved_is_the_same(photos: Path, tmp_path: Path) -> None:
    before = facts(photos)
    photos.rename(tmp_path / "elsewhere")
    before.require_same_data(experiment(tmp_path / "elsewhere").images.dataset)


def test_a_network_or_a_module_that_changed_is_not_gone_on_with(photos: Path) -> None:
    before = facts(photos)
    before.require_same_run(facts(photos))
    with pytest.raises(ValueError, match=r"^Expected the network that the run began with"):
        before.require_same_run(facts(photos, model="resnet14"))
    old, new = (UserModules((UserModule("nets", "/nets.py", digit * 64),)) for digit in "01")
    with pytest.raises(ValueError, match=r"Received: /nets\.py, which has changed since\.$"):
        dataclasses.replace(before, user_modules=old).require_same_run(dataclasses.replace(before, user_modules=new))


def network(activation: Any, *, filters: int = 4) -> keras.Model:
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(filters, 3, activation=activation)(image)
    return keras.Model(image, keras.layers.Lambda(lambda x: x * 2.0)(keras.layers.GlobalAveragePooling2D()(x)))


def test_the_digest_of_a_network_knows_its_layers_but_not_their_names_or_weights() -> None:
    assert network_digest(network("relu")) == network_digest(network("relu"))
    digests = {network_digest(each) for each in (network("relu"), network("tanh"), network("relu", filters=5))}
    assert len(digests) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.update(schema_version=2),
        lambda content: content.pop("data"),
        lambda content: content["data"].update(class_names="cat"),
        lambda content: content["data"].update(class_names=[1, 2]),
        lambda content: content["data"].update(splits={}),
        lambda content: content["user_modules"].update(modules=[{"name": "os"}]),
        lambda content: content.update(batch_norm_parts=10**400),
        lambda content: content.update(splits=[7]),
    ],
)
def test_facts_that_could_not_be_are_refused_on_one_line(photos: Path, tmp_path: Path, damage: Any) -> None:
    content = json.loads(facts(photos).to_json())
    damage(content)
    (tmp_path / "facts.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"^Expected .* Received: ") as caught:
        read_facts(tmp_path / "facts.json")
    assert "\n" not in str(caught.value)
