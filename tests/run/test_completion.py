import dataclasses

import pytest

from ofar_tf.run.completion import begun_with, completed, is_open
from ofar_tf.run.config_file import differences, to_json
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.tasks.detection.fitting_anchors import FittingScale

OPEN = TrainConfig(run_dir="r", pruning_rates=(0.1, 0.5))


def _not_counted():
    raise AssertionError("the images were counted")


def test_what_nobody_gave_is_chosen_and_said_with_its_reason():
    done = completed(OPEN, images=lambda: 3000)
    assert (done.config.epochs, done.config.batch_size, done.config.learning_rate) == (200, 32, 0.025)
    assert (done.config.optimizer, done.config.gamma_l1, done.config.warmup_epochs) == ("sgd", 1e-4, 0.0)
    assert done.notes == (
        "Chosen for 3,000 images, random weights: --epochs=200 --batch_size=32 --learning_rate=0.025",
    )
    assert is_open(OPEN) and not is_open(done.config)


def test_pretrained_weights_change_what_is_chosen():
    done = completed(dataclasses.replace(OPEN, pretrained="imagenet", batch_size=64), images=lambda: 3000)
    assert (done.config.epochs, done.config.batch_size, done.config.learning_rate) == (20, 64, 0.01)
    assert done.notes == ("Chosen for 3,000 images, pretrained weights: --epochs=20 --learning_rate=0.01",)


def test_a_recipe_sets_what_is_not_given_and_nothing_else():
    given = dataclasses.replace(
        OPEN,
        recipe="finetune",
        pretrained="imagenet",
        epochs=9,
        learning_rate=0.5,
        importance="gamma",
        ema_momentum=0.5,
    )
    done = completed(given, images=lambda: 3000)
    assert done.config == dataclasses.replace(
        given,
        batch_size=32,
        optimizer="adamw",
        body_learning_rate=0.3,
        head_epochs=1,
        warmup_epochs=1.0,
        search_epochs=2,
        search_networks="sandwich",
        gamma_l1=1e-4,
    )
    assert done.notes == (
        "Chosen for 3,000 images, pretrained weights, --recipe=finetune: --batch_size=32 --optimizer=adamw "
        "--body_learning_rate=0.3 --head_epochs=1 --warmup_epochs=1 --search_epochs=2 "
        "--search_networks=sandwich",
    )
    assert completed(done.config, images=_not_counted) == dataclasses.replace(done, notes=())


def test_a_method_keeps_its_criterion_and_parts_divide_the_batch_that_is_chosen():
    given = dataclasses.replace(OPEN, recipe="finetune", method="us_net", gradient_accumulation=3)
    config = completed(given, images=lambda: 3000).config
    assert config.importance == "uniform"
    assert config.batch_size == 33


def test_images_are_counted_only_where_something_follows_from_them():
    given = dataclasses.replace(OPEN, epochs=5, batch_size=7, learning_rate=0.5)
    done = completed(given, images=_not_counted)
    assert done.notes == ()
    assert (done.config.optimizer, done.config.head_epochs, done.config.body_learning_rate) == ("sgd", 0, 1.0)


def test_settings_that_do_not_go_with_what_is_chosen_are_refused():
    with pytest.raises(ValueError, match=r"Received: search_epochs=20, head_epochs=1, epochs=20\."):
        completed(dataclasses.replace(OPEN, recipe="finetune", search_epochs=20), images=lambda: 3000)


def test_a_run_goes_on_with_what_was_chosen_when_it_began(tmp_path):
    config = dataclasses.replace(OPEN, run_dir=str(tmp_path), recipe="finetune")
    assert begun_with(config) == config
    began = completed(config, images=lambda: 3000).config
    (tmp_path / "config.json").write_text(to_json(began))
    assert begun_with(config) == began
    # What is given now is compared with what it began with, as ever.
    assert begun_with(dataclasses.replace(config, epochs=7)) == dataclasses.replace(began, epochs=7)


def test_a_run_goes_on_with_what_its_method_had_when_it_began(tmp_path):
    config = dataclasses.replace(OPEN, run_dir=str(tmp_path), epochs=9, batch_size=8, learning_rate=0.5)
    other_defaults = {"distillation": "star", "student_labels": 0.25, "training_resolutions": config.resolutions[:1]}
    began = dataclasses.replace(completed(config, images=_not_counted).config, **other_defaults).resolved()
    (tmp_path / "config.json").write_text(to_json(began))
    goes_on = completed(begun_with(config), images=_not_counted).config.resolved()
    assert (goes_on, differences(began, goes_on)) == (began, [])


def test_settings_that_are_not_the_methods_own_are_told():
    given = dataclasses.replace(OPEN, epochs=9, batch_size=8, learning_rate=0.5)
    # As the record of a run has them, whose flagfile is given with another method.
    record = completed(given, images=_not_counted).config.resolved()
    assert completed(record, images=_not_counted).notes == ()
    assert completed(dataclasses.replace(record, method="us_net"), images=_not_counted).notes == (
        "Otherwise than --method=us_net has it: --importance=gamma --distillation=chain --student_labels=0.5 "
        f"--training_resolutions={','.join(map(str, record.resolutions))}",
    )


def _fitting():
    return FittingScale(2.0, 0.99, 0.5)


DETECTOR = dataclasses.replace(
    OPEN, task="detection", dataset="coco_folder", epochs=9, batch_size=8, learning_rate=0.01, resolutions=(64,)
)


def test_anchors_are_fitted_where_nobody_gave_their_scale_and_a_run_goes_on_with_those_it_began_with(tmp_path):
    done = completed(DETECTOR, images=_not_counted, anchors=_fitting)
    assert done.config.anchor_scale == 2.0
    assert done.notes == (
        "Chosen for the training boxes: --anchor_scale=2: 99% of them have an anchor of about their size, in the mean "
        "over the classes; with 4, 50%",
    )
    usual = completed(DETECTOR, images=_not_counted, anchors=lambda: FittingScale(4.0, 0.99, 0.99))
    assert usual.config.anchor_scale == 4.0 and usual.notes == ()
    given = dataclasses.replace(DETECTOR, anchor_scale=3.0)
    assert completed(given, images=_not_counted, anchors=_not_counted).config.anchor_scale == 3.0
    (tmp_path / "config.json").write_text(to_json(done.config))
    assert begun_with(dataclasses.replace(DETECTOR, run_dir=str(tmp_path))).anchor_scale == 2.0
