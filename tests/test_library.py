"""The library without flags, as a notebook uses it."""

import dataclasses
import shutil
from unittest.mock import Mock

import keras
import numpy as np
import pytest
import tensorflow as tf

import ofar_tf
from ofar_tf import data
from ofar_tf.checks import measurement
from ofar_tf.conversion import lanes
from ofar_tf.evaluation.batch_norm_calibration import CalibratedNetwork
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.search.pool_spec import PoolSpec


@pytest.fixture(scope="module")
def images():
    dataset = data.load_dataset("fashion_mnist_mini")
    train = data.training_batches(
        dataset, "train[:128]", batch_size=32, resolution=20, augmentation=data.Augmentation("none", flip=True), seed=0
    )
    return dataset, train, data.evaluation_batches(dataset, "test[:40]", batch_size=25, resolution=20)


def trainer():
    supernet = ofar_tf.models.build("resnet8", classes=10, width_multiplier=0.5)
    pool = PoolSpec.of(pruning_rates=[0.0, 0.5], resolutions=[20, 16], rules=MaskRules(4, 4))
    model = ofar_tf.OnceForAll(supernet, pool=pool)
    model.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True))
    return model


@pytest.fixture(scope="module")
def trained(images):
    _, train, _ = images
    model = trainer()
    model.fit(train, epochs=2, steps_per_epoch=4, callbacks=[ofar_tf.MaskSearch(epochs=1)], verbose=0)
    return model


@pytest.fixture(scope="module")
def export(trained, images, in_process):
    """Exports in float32, without timing."""
    dataset, train, _ = images

    def run(export_dir, validation, **options):
        given = {"calibration": train, "labels": dataset.class_names, "precisions": ["float32"], **options}
        return ofar_tf.export_family(
            trained, export_dir, validation=validation, calibration_images=64, latency_threads=0, **given
        )

    return run


@pytest.fixture(scope="module")
def exported(export, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("library") / "export"
    return folder, export(folder, images[2])


def test_train_evaluate_and_export_without_flags(trained, images, exported):
    _, train, validation = images
    table = ofar_tf.evaluate_pool(trained, validation, calibration=train, calibration_images=64)
    assert [(row.structure, row.resolution, row.scores.images) for row in table] == [
        ("rate0", 20, 40),
        ("rate0", 16, 40),
        ("rate50", 20, 40),
        ("rate50", 16, 40),
    ]
    folder, result = exported
    assert result.failures == ()
    best = {(row.structure, row.resolution): row.merit for row in table if row.pareto}
    assert {(entry.structure, entry.resolution) for entry in result.manifest.models} == set(best)
    for entry in result.manifest.models:
        assert entry.metrics.keras == best[entry.structure, entry.resolution]
        assert (folder / entry.path).is_file()


def test_a_second_export_of_the_same_model_makes_and_measures_nothing_again(export, images, exported, monkeypatch):
    folder, first = exported

    def refuse(*_, **__):
        raise AssertionError("This work was done already.")

    for module, name in ((lanes, "WorkerProcess"), (measurement, "check_file"), (CalibratedNetwork, "copy_to")):
        monkeypatch.setattr(module, name, refuse)
    assert export(folder, images[2]).manifest.models == first.manifest.models


def test_as_many_other_images_are_measured_again(export, images, exported, tmp_path, monkeypatch):
    folder, first = exported
    copy = shutil.copytree(folder, tmp_path / "export")
    measured = Mock(wraps=measurement.check_file)
    monkeypatch.setattr(measurement, "check_file", measured)
    others = images[2].map(lambda pictures, labels: (pictures, (labels + 1) % 10))
    second = export(copy, others)
    assert second.manifest.dataset["evaluation"] != first.manifest.dataset["evaluation"]
    assert second.manifest.dataset["origin"] == first.manifest.dataset["origin"]
    assert {entry.metrics.images for entry in second.manifest.models} == {40}
    assert measured.call_count == len(second.manifest.models)


def test_an_export_takes_the_table_calibrates_nothing_again_and_adds_to_the_last_in_whatever_order_images_come(
    trained, images, export, tmp_path, monkeypatch
):
    _, train, validation = images
    table = ofar_tf.evaluate_pool(trained, validation, calibration=train, calibration_images=64)
    assert len(table) == 4 and table[0].structure == "rate0"

    def refuse(*_, **__):
        raise AssertionError("The networks were calibrated already.")

    monkeypatch.setattr(CalibratedNetwork, "observe", refuse)
    manifest = export(tmp_path / "export", validation, table=table).manifest
    front = {(row.structure, row.resolution) for row in table if row.pareto}
    assert {(entry.structure, entry.resolution) for entry in manifest.models} == front
    other_order = train.map(lambda pictures, labels: (tf.reverse(pictures, [0]), tf.reverse(labels, [0])))
    second = export(
        tmp_path / "export", validation, table=table, calibration=other_order, precisions=["float16"]
    ).manifest
    assert {entry.path for entry in manifest.models} < {entry.path for entry in second.models}
    with pytest.raises(ValueError, match=r"the table of evaluate_pool for this model as it is now\. Received: that of"):
        export(tmp_path / "other", validation, table=dataclasses.replace(table, networks="0" * 64))


def test_images_that_come_in_another_order_each_time_give_the_files_of_those_that_do_not(
    trained, images, export, exported, tmp_path
):
    # `keras.utils.image_dataset_from_directory` shuffles, the images to validate on as well.
    shuffled = images[2].unbatch().shuffle(40, seed=1).batch(25)
    table = ofar_tf.evaluate_pool(trained, shuffled, calibration=images[1], calibration_images=64)
    given = {"selection": shuffled, "table": table.of([row for row in table if row.pareto][-1:])}
    (alone,) = export(tmp_path / "export", shuffled, **given).manifest.models
    both = export(tmp_path / "export", shuffled, precisions=["int8"], **given).manifest.models
    assert [entry.quantization for entry in both] == ["float32", "int8"]  # That of the first call has not left.
    assert alone.checks.argmax_agreement == 1.0 and both[1].checks.accuracy is not None
    assert alone.metrics in [entry.metrics for entry in exported[1].manifest.models]
    (labels,) = {tuple(np.load(path)["labels"]) for path in tmp_path.rglob("*.predictions.npz")}
    assert sorted(labels) == sorted(np.concatenate([each for _, each in images[2].as_numpy_iterator()]))


def test_data_of_another_form_are_refused_in_one_line(trained, images):
    _, train, validation = images
    for wrong, message in [
        (validation.map(lambda pictures, labels: (pictures / 255.0, labels)), "Expected images"),
        (validation.map(lambda pictures, labels: (pictures, labels + 7)), "Expected labels from 0 to 9"),
        (validation.map(lambda pictures, labels: (pictures[:, :16, :16], labels)), "Expected images"),
    ]:
        with pytest.raises(ValueError, match=message) as error:
            ofar_tf.evaluate_pool(trained, wrong, calibration=train, calibration_images=64)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "one"), [("precisions", "int8"), ("precisions", 8), ("labels", "cat")])
def test_one_entry_in_the_place_of_a_list_is_refused(export, images, tmp_path, name, one):
    with pytest.raises(ValueError, match=f"Expected {name} as a list. Received: {name}={one!r}."):
        export(tmp_path / "new", images[2], **{name: one})
    assert not (tmp_path / "new").exists()


def test_the_library_takes_the_lock_that_the_command_takes(export, images, tmp_path):
    with FamilyFolder(tmp_path), pytest.raises(ValueError, match="Received: one that does; `fuser"):
        export(tmp_path, images[2])


def test_a_model_without_a_pool_cannot_be_evaluated(images):
    _, train, validation = images
    with pytest.raises(
        ValueError, match=r"^Expected a model whose structures are frozen: .* a model without a pool\.$"
    ):
        ofar_tf.evaluate_pool(trainer(), validation, calibration=train)
