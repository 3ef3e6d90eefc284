"""The library without flags, as a notebook uses it."""

import keras
import pytest

import ofar_tf
from ofar_tf import data
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


def test_train_evaluate_and_export_without_flags(images, tmp_path):
    dataset, train, validation = images
    model = trainer()
    model.fit(train, epochs=2, steps_per_epoch=4, callbacks=[ofar_tf.MaskSearch(epochs=1)], verbose=0)
    table = ofar_tf.evaluate_pool(model, validation, calibration=train, calibration_images=64)
    assert [(row.structure, row.resolution, row.images) for row in table] == [
        ("rate0", 20, 40),
        ("rate0", 16, 40),
        ("rate50", 20, 40),
        ("rate50", 16, 40),
    ]
    result = ofar_tf.export_family(
        model,
        tmp_path / "export",
        validation=validation,
        calibration=train,
        labels=dataset.class_names,
        precisions=["float32"],
        calibration_images=64,
    )
    assert result.failures == ()
    best = {(row.structure, row.resolution): row.top1 for row in table if row.pareto}
    assert {(entry.structure, entry.resolution) for entry in result.manifest.models} == set(best)
    for entry in result.manifest.models:
        assert entry.metrics.keras_top1 == best[entry.structure, entry.resolution]
        assert (tmp_path / "export" / entry.path).is_file()


def test_a_model_without_a_pool_cannot_be_evaluated(images):
    _, train, validation = images
    with pytest.raises(
        ValueError, match=r"^Expected a model whose structures are frozen: .* a model without a pool\.$"
    ):
        ofar_tf.evaluate_pool(trainer(), validation, calibration=train)
