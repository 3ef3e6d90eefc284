import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofar_tf.run.completion import begun_with, completed
from ofar_tf.run.config_file import BEFORE, differences, read_config, to_flagfile, to_json
from ofar_tf.run.evaluate_config import EvaluateConfig
from ofar_tf.run.export_config import ExportConfig
from ofar_tf.run.settings import kind_of
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.run.train_settings.detection_settings import DetectionSettings
from ofar_tf.shipping.select_config import SelectConfig
from ofar_tf.text.size import Size
from ofar_tf.training.recipe import Recipe

CONFIG = TrainConfig(run_dir="r", pruning_rates=(0.1, 0.5), epochs=90)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"run_dir": ""}, "Expected --run_dir, the folder of the run. Received: none."),
        ({"pruning_rates": (0.1, 1.0)}, "Expected --pruning_rates in [0, 1). Received: 1.0."),
        ({"pruning_rates": (-0.1, 0.5)}, "Expected --pruning_rates in [0, 1). Received: -0.1."),
        ({"pruning_rates": (float("nan"), 0.5)}, "Expected a finite --pruning_rates. Received: nan."),
        ({"jit_compile": True, "pruning_rates": (0.1, 0.2, 0.3, 0.4), "resolutions": tuple(range(32, 128))},
         "Expected at most 200 networks for --jit_compile: one for each structure, resolution and, with "
         "--search_execution=sliced, epoch of the search. Received: 388."),
        ({"epochs": 10**400}, "Expected --epochs of at most 63 bits. Received: 1329 bits."),
        ({"run_dir": "  "}, "Expected --run_dir to be more than blanks. Received: '  '."),
        ({"data_dir": "two\nlines"}, "Expected --data_dir on one line, without control characters. "
         "Received: 'two\\nlines'."),
        ({"pruning_rates": ()}, "Expected one of --pruning_rates, --macs_budgets and --budgets. Received: none."),
        ({"macs_budgets": (5, 3)}, "Expected one of --pruning_rates, --macs_budgets and --budgets. Received: "
         "[0.1, 0.5] and [5, 3]."),
        ({"pruning_rates": (), "budgets": (8.0, 5.5)}, "Expected whole, positive --budgets in macs. Received: 5.5."),
        ({"pruning_rates": (), "budgets": (8.0, 5.5), "budget_unit": "ms"}, "Expected --device, whose milliseconds "
         "--budgets are, as ofar measure_device writes it. Received: none."),
        ({"pruning_rates": (), "budgets": (8.0, 0.0), "budget_unit": "ms", "device": "d.json"},
         "Expected positive --budgets in ms. Received: 0."),
        ({"resolutions": ()}, "Expected different --resolutions, at least one. Received: []."),
        ({"resolutions": (32, 32)}, "Expected different --resolutions, at least one. Received: [32, 32]."),
        ({"resolutions": (0,)}, "Expected --resolutions of at least 1. Received: 0."),
        ({"resolutions": [32]}, "Expected --resolutions to be a tuple. Received: [32]."),
        ({"search_resolutions": (24, 24)}, "Expected different --search_resolutions. Received: [24, 24]."),
        ({"search_resolutions": (256,)}, "Expected --search_resolutions of at most 224, the largest resolution. "
         "Received: [256]."),
        ({"epochs": 10, "search_epochs": 10}, "Expected fewer --search_epochs, with --head_epochs, than --epochs, "
         "which count joint training too. Received: search_epochs=10, head_epochs=0, epochs=10."),
        ({"epochs": 10, "head_epochs": 6, "search_epochs": 4}, "Expected fewer --search_epochs, with --head_epochs, "
         "than --epochs, which count joint training too. Received: search_epochs=4, head_epochs=6, epochs=10."),
        ({"epochs": 10, "head_epochs": 6, "warmup_epochs": 4.5}, "Expected at most 4 --warmup_epochs, of 10 epochs. "
         "Received: 4.5."),
        ({"optimizer": "adamw", "gamma_shrink": 0.3}, "Expected --gamma_shrink with --optimizer=sgd, whose steps a "
         "penalty can be computed for. Received: optimizer=adamw."),
        ({"rank_by": "ema"}, "Expected --ema_momentum with --rank_by=ema. Received: none."),
        ({"finetune_structures": 2, "weights": "separate"}, "Expected --finetune_structures with shared weights: "
         "separate ones train alone from the search on. Received: finetune_structures=2, method=ofar, "
         "weights=separate."),
        ({"epochs": 20.0}, "Expected --epochs of type int. Received: 20.0."),
        ({"epochs": True}, "Expected --epochs of type int. Received: True."),
        ({"flip": 1}, "Expected --flip of type bool. Received: 1."),
        ({"dataset": None}, "Expected --dataset of type str. Received: None."),
        ({"importance": "Gamma"}, "Expected --importance to be one of gamma, gamma_per_layer, gamma_per_mac, "
         "kernel_norm, taylor, taylor_adaptive, uniform, random. Received: 'Gamma'."),
        ({"similarity_threshold": 0.0}, "Expected --similarity_threshold of at least 1e-06. Received: 0.0."),
        ({"weight_decay": float("inf")}, "Expected a finite --weight_decay. Received: inf."),
    ],
)  # fmt: skip
def test_nonsense_is_refused_on_construction(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        dataclasses.replace(CONFIG, **changes)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("kind", "values", "sentence"),
    [
        (EvaluateConfig, {}, "Expected --run_dir, the folder of a finished run. Received: none."),
        (ExportConfig, {}, "Expected --run_dir, the folder of a finished run. Received: none."),
        (ExportConfig, {"run_dir": "r", "precisions": ("int4",)}, "Expected --precisions to be one of float32, "
         "float16, dynamic, int8, int8_float_io, int16x8, qat, mixed. Received: 'int4'."),
        (ExportConfig, {"run_dir": "r", "only": ()}, "Expected at least one entry in --precisions and in --only. "
         "Received: ['float32', 'int8'] and []."),
        (SelectConfig, {}, "Expected --export_dir, the folder of an export. Received: none."),
        (SelectConfig, {"export_dir": "e", "max_macs": "lots"}, "Expected a positive quantity such as 120M, 2.5G or "
         "750K. Received: 'lots'."),
        (SelectConfig, {"export_dir": "e", "min_top1": 75.0}, "Expected --min_top1 of at most 1.0. Received: 75.0."),
    ],
)  # fmt: skip
def test_the_other_commands_refuse_nonsense_too(kind: type[Any], values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        kind(**values)
    assert str(caught.value) == sentence


def test_choices_are_those_of_the_modules_that_read_them() -> None:
    from ofar_tf.conversion.precision import PRECISIONS
    from ofar_tf.data import AUGMENTATIONS
    from ofar_tf.pruning.importance import CRITERIA
    from ofar_tf.search.mask_tracker import MEASURES
    from ofar_tf.tasks.classification.divergence import DIVERGENCES
    from ofar_tf.training.sandwich import ASSISTANTS
    from ofar_tf.training.schedules import DECAYS
    from ofar_tf.training.step_spec import DISTILLATIONS

    fields = {field.name: field.metadata["choices"] for kind in (TrainConfig, ExportConfig)
              for field in dataclasses.fields(kind)}  # fmt: skip
    assert set(fields["augmentation"]) == set(AUGMENTATIONS)
    assert set(fields["importance"]) == set(CRITERIA)
    assert set(fields["distillation_divergence"]) == set(DIVERGENCES)
    assert set(fields["distillation"]) == set(DISTILLATIONS)
    assert set(fields["assistants"]) == set(ASSISTANTS)
    assert set(fields["similarity_measure"]) == set(MEASURES)
    assert set(fields["learning_rate_decay"]) == set(DECAYS)
    assert set(fields["precisions"]) == set(PRECISIONS)


def _values(field: Any) -> st.SearchStrategy[Any]:
    """Any value that a setting allows."""
    low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
    words = st.text("abcxyz019/._:%[]@ -", min_size=1).map(str.strip).filter(lambda text: text and " #" not in text)
    entry: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(1 if low is None else low, high or 2**63 - 1),
        float: st.floats(1e-9 if low is None else low, 1e9 if high is None else high),
        str: st.sampled_from(choices) if choices else words,
        tuple[str, ...]: st.lists(words, max_size=3).map(tuple),
    }
    kind = kind_of(field)
    return st.none() | entry[kind] if kind is not field.type else entry[kind]


def _sizes() -> st.SearchStrategy[int | Size]:
    """Numbers, and sizes that are no squares."""
    side = st.integers(1, 512)
    return side | st.builds(Size, side, side).filter(lambda size: not size.is_square)


CLASSES = {
    "distillation_divergence",
    *("mixup_alpha", "cutmix_alpha", "rand_augment_layers", "label_smoothing"),
    *("class_weight", "student_labels", "eval_resize", "teacher", "new_head", "dropout"),
}


@st.composite
def configurations(draw: st.DrawFn) -> TrainConfig:
    special = {
        "resolutions": st.lists(_sizes(), min_size=1, max_size=4, unique=True).map(tuple),
        "search_resolutions": st.just(()),
        "training_resolutions": st.just(()),
        "gradient_accumulation": st.just(1),
        "pretrained": st.just("none"),
        "backbone_run_dir": st.none(),
        "search_epochs": st.integers(0, 9),
        "epochs": st.integers(10, 1000),
        "head_epochs": st.none() | st.just(0),
        "warmup_epochs": st.none() | st.floats(0, 10),
        "optimizer": st.just("sgd"),
        "rank_by": st.just("weights"),
        "scale_jitter": st.just((0.8, 1.25)),
        "finetune_structures": st.just(0),
        "pruning_rates": st.just(()),
        "macs_budgets": st.just(()),
        "budgets": st.just(()),
    }
    strategies = {field.name: _values(field) for field in dataclasses.fields(TrainConfig) if field.name not in special}
    values = {name: draw(strategy) for name, strategy in {**strategies, **special}.items()}
    if draw(st.booleans()):
        values["pruning_rates"] = draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=5).map(tuple))
    else:
        values["macs_budgets"] = draw(st.lists(st.integers(1, 10**12), min_size=2, max_size=5).map(tuple))
    if any(isinstance(size, Size) for size in values["resolutions"]):
        values["task"] = "detection"
    # A task refuses what it has no use for.
    useless = (
        CLASSES if values["task"] == "detection" else {field.name for field in dataclasses.fields(DetectionSettings)}
    )
    values.update({field.name: field.default for field in dataclasses.fields(TrainConfig) if field.name in useless})
    return TrainConfig(**values)


@given(config=configurations())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_files_of_a_run_repeat_its_settings_exactly(
    config: TrainConfig, parse_command: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    flagfile, saved = tmp_path / "run.flagfile", tmp_path / "config.json"
    flagfile.write_text(to_flagfile(config))
    saved.write_text(to_json(config))
    assert parse_command(TrainConfig, f"--flagfile={flagfile}", f"--run_dir={config.run_dir}") == config
    assert read_config(saved) == config


def test_sizes_that_are_no_squares_are_for_detection() -> None:
    with pytest.raises(ValueError) as caught:
        dataclasses.replace(CONFIG, resolutions=(192, Size(96, 128)))
    assert str(caught.value) == "Expected square --resolutions with --task=classification. Received: 192, 96x128."
    assert dataclasses.replace(CONFIG, task="detection", resolutions=(192, Size(96, 128))).detects


def test_a_run_of_version_0_1_0_goes_on_with_what_it_could_not_write_down() -> None:
    usual = {field.name: field.default for field in dataclasses.fields(Recipe)}
    assert usual | BEFORE == usual
    began = dataclasses.replace(CONFIG, **dict.fromkeys(BEFORE))
    now = dataclasses.replace(CONFIG, **BEFORE)
    assert differences(began, now) == []
    assert differences(began, dataclasses.replace(now, optimizer="adamw")) == ["optimizer was None, now 'adamw'"]
    assert differences(dataclasses.replace(now, optimizer="adamw"), now) == ["optimizer was 'adamw', now 'sgd'"]


def test_whatever_is_suggested_today_a_run_of_version_0_1_0_goes_on(tmp_path: Path) -> None:
    given = dataclasses.replace(CONFIG, run_dir=str(tmp_path), batch_size=64, learning_rate=0.05, gamma_l1=1e-4)
    suggested = {field.name for field in dataclasses.fields(TrainConfig) if field.metadata["suggested"]}
    written = {"epochs", "batch_size", "learning_rate", "gamma_l1"}  # Of these.
    stored = json.loads(to_json(given))
    content = {name: value for name, value in stored.items() if name not in suggested - written}
    (tmp_path / "config.json").write_text(json.dumps(content))
    now = completed(begun_with(given), images=lambda: 256).config
    assert (differences(read_config(tmp_path / "config.json"), now), now.warmup_epochs) == ([], 0.0)


def test_only_differences_that_change_a_result_count() -> None:
    other = dataclasses.replace(CONFIG, run_dir="elsewhere", data_dir="/data", progress=False, checkpoint_steps=7)
    assert differences(CONFIG, other) == []
    other = dataclasses.replace(other, epochs=91, resolutions=(32,))
    assert differences(CONFIG, other) == ["resolutions was (224, 192, 160, 128), now (32,)", "epochs was 90, now 91"]


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read_config(tmp_path / "config.json")
    assert str(caught.value) == f"Expected a run of ofar train in {tmp_path}. Received: no config.json there."


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"run_dir": 3}', json.dumps({"run_dir": "r", "pruning_rates": [0.1], "colour": "red"})]
)
def test_a_file_that_is_no_configuration_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"Expected the configuration of a run in {path}. Received: ")


@pytest.mark.parametrize(
    ("epochs", "search"), [(1, 0), (2, 1), (3, 1), (4, 2), (6, 2), (7, 3), (29, 10), (30, 10), (90, 10), (250, 10)]
)
def test_a_search_takes_a_third_of_the_run_and_at_most_ten_epochs_unless_it_is_told(epochs: int, search: int) -> None:
    config = dataclasses.replace(CONFIG, epochs=epochs)
    assert config.epochs_of_search == config.resolved().search_epochs == search
    assert dataclasses.replace(config, search_epochs=0).epochs_of_search == 0


def test_students_of_a_run_that_was_begun_without_half_labels_go_on_without(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, run_dir=str(tmp_path))
    assert (config.resolved().student_labels, begun_with(config)) == (0.5, config)
    (tmp_path / "config.json").write_text(to_json(config))
    assert begun_with(config).resolved().student_labels == 0.5
    for stored in ({"student_labels": 0.0}, {}):  # As 0.1.0 wrote it, too.
        values = json.loads(to_json(config))
        del values["student_labels"]
        (tmp_path / "config.json").write_text(json.dumps(values | stored))
        goes_on = begun_with(config)
        assert goes_on.resolved().student_labels == 0.0
        assert differences(read_config(tmp_path / "config.json"), goes_on) == []


@pytest.mark.parametrize(
    ("changes", "share"),
    [({}, 0.5), ({"method": "us_net"}, 0.0), ({"method": "us_net", "student_labels": 0.25}, 0.25),
     ({"student_labels": 0.0}, 0.0), ({"task": "detection"}, None)],
)  # fmt: skip
def test_students_learn_as_much_of_the_labels_as_the_method_says_unless_it_is_given(
    changes: dict[str, Any], share: float | None
) -> None:
    assert dataclasses.replace(CONFIG, **changes).resolved().student_labels == share


def test_a_run_of_version_0_1_0_that_left_the_search_at_ten_epochs_is_the_same_run() -> None:
    assert differences(dataclasses.replace(CONFIG, search_epochs=10), CONFIG) == []


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"epochs": 1' + "0" * 5000 + "}",
        '{"momentum": NaN}',
        '{"seed": 1, "seed": 2}',
        "[]",
        "7",
        "\xff",
    ],
)
def test_a_configuration_that_anybody_may_have_written_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=r"^Expected the configuration of a run in ") as caught:
        read_config(tmp_path / "config.json")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_value_that_a_flagfile_could_take_for_a_comment_is_written_in_quotes(
    parse_command: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, data_dir="Ada's photos #2", model='"mine":it', search_epochs=1)
    (tmp_path / "run.flagfile").write_text(to_flagfile(config))
    assert parse_command(TrainConfig, f"--flagfile={tmp_path / 'run.flagfile'}", "--run_dir=r") == config


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"neck_channels": 32}, "Expected --task=detection with --neck_channels, which is for detectors. "
         "Received: task=classification."),
        ({"task": "detection", "distillation_divergence": "reverse"}, "Expected no --distillation_divergence with "
         "--task=detection, which has no use for it. Received: distillation_divergence=reverse."),
    ],
)  # fmt: skip
def test_settings_of_another_task_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        dataclasses.replace(CONFIG, **settings)
    assert str(caught.value) == sentence
