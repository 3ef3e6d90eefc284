"""A trained family as an object, as the page of the library shows it."""

import dataclasses
import io
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure

import ofar_tf
from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.pruning.operator_work import OperatorWork
from ofar_tf.run.family_choice import RowLimits, best_row
from ofar_tf.tasks.classification.accuracy import METRIC
from ofar_tf.tasks.task import Scores
from ofar_tf.text.size import Size
from ofar_tf.training.saved_family import save_family

PAGE = Path(__file__).parents[1] / "docs" / "api.md"


def blocks(page=PAGE):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def shown(tmp_path_factory, in_process):
    """What the page's code leaves behind, run in a folder of its own from top to bottom."""
    folder = tmp_path_factory.mktemp("api")
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in blocks():
            exec(compile(textwrap.dedent(block), str(PAGE), "exec"), names)
    return {**names, "folder": folder}


def test_every_public_name_has_an_example_that_runs(shown):
    text = "\n".join(blocks())
    missing = [name for name in ofar_tf.__all__ if name != "__version__" and f"ofar_tf.{name}" not in text]
    assert missing == []
    assert (shown["folder"] / "files" / "manifest.json").is_file()
    assert (shown["folder"] / "pareto.png").is_file()


@pytest.mark.parametrize(("page", "run", "here"), [("manifest.md", "export", "files"), ("quickstart.md", "", "family")])
def test_what_other_pages_show_of_a_family_runs(shown, page, run, here, capsys):
    (code,) = blocks(PAGE.with_name(page))
    place = f'"{PurePosixPath("runs/quickstart", run)}"'
    assert code.count(place) == 1
    names = {}
    exec(code.replace(place, repr(str(shown["folder"] / here))), names)
    assert capsys.readouterr().out
    assert names["best"].checks.passed if "best" in names else isinstance(names["network"], keras.Model)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("ant", "Expected labels as a list"),
        ([*range(10)], "class names of one visible line"),
        ([*"aAbcdefghi"], "distinct"),
        (["a", "b"], r"^Expected 10 labels, one for each class\. Received: 2\.$"),
        ({*"abcdefghij"}, r"in the order of the outputs\. Received: set\.$"),
    ],
)
def test_labels_that_are_no_names_are_refused_before_anything_is_written(shown, tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        shown["model"].save(tmp_path / "new", labels=labels)
    assert not (tmp_path / "new").exists()


def test_one_kind_of_file_in_the_place_of_a_list_is_refused(shown, tmp_path):
    with pytest.raises(ValueError, match=r"Expected precisions as a list. Received: precisions='int8'"):
        shown["family"].export(tmp_path, validation=shown["validation"], calibration=shown["train"], precisions="int8")


def test_a_loaded_family_is_the_one_that_was_saved(shown):
    model, family = shown["model"], ofar_tf.load(shown["folder"] / "family")
    assert [network.mask for network in family.pool] == model.masks
    assert family.class_names == tuple(shown["dataset"].class_names)
    assert family.resolutions == model.resolutions
    for saved, trained in zip(family.supernet.weights, model.supernet.weights, strict=True):
        assert np.array_equal(saved, trained)
    rows = [(row.structure, row.scores.best) for row in family.table]
    assert rows == [(row.structure, row.scores.best) for row in shown["table"]]


def test_in_a_new_process_the_network_gives_the_same_outputs(shown, tmp_path):
    code = """
import sys, numpy as np, ofar_tf
network = ofar_tf.load(sys.argv[1]).best(max_macs="1M")
np.save(sys.argv[2], network.predict(np.arange(2 * 16 * 16 * 3).reshape(2, 16, 16, 3) % 256, verbose=0))
"""
    arguments = [str(shown["folder"] / "family"), str(tmp_path / "there.npy")]
    usual = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    run = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    ended = subprocess.run(run, check=True, env=usual, capture_output=True, text=True)
    assert ended.stdout + ended.stderr == ""  # Nor do TensorFlow and CUDA say that they are there, or are not.
    images = np.arange(2 * 16 * 16 * 3).reshape(2, 16, 16, 3) % 256
    here = shown["network"].predict(images, verbose=0)
    assert np.array_equal(here, np.load(tmp_path / "there.npy"))
    assert np.allclose(here.sum(axis=1), 1.0, atol=1e-6)


def test_what_comes_out_is_a_plain_calibrated_keras_model(shown):
    plain = keras.models.load_model(shown["folder"] / "small.keras")
    assert {type(layer).__module__.split(".")[0] for layer in plain.layers} == {"keras"}
    row = shown["family"].choose(max_macs="1M")
    right = sum(
        int((plain.predict(images, verbose=0).argmax(-1) == labels.numpy()).sum())
        for images, labels in shown["validation"]
    )
    assert right / 40 == row.scores.best


def test_a_family_shows_itself(shown):
    family = shown["family"]
    assert repr(family).startswith("<Family of resnet8: rate0 (")
    html = family._repr_html_()
    assert html.count("<tr>") == 1 + len(family.table) and "rate50" in html
    assert "rate50" in str(family.table) and repr(family.table) == str(family.table)
    assert repr(shown["model"]).startswith("<OnceForAll of resnet8: rate0 (") and str(shown["model"])
    assert "2 structures to be found" in repr(shown["long_form"])
    figure = family.plot()
    assert isinstance(figure, Figure) and figure._repr_png_().startswith(b"\x89PNG")
    assert "can be pruned" in str(family.explain()) and repr(family.explain()) == str(family.explain())
    assert family.explain()._repr_html_().startswith("<pre>")
    assert {"best", "choose", "evaluate", "explain", "export", "network", "plot", "pool", "table"} <= set(dir(family))


def test_a_family_that_was_not_measured_says_so(shown, tmp_path):
    shown["model"].save(tmp_path / "new")
    family = ofar_tf.load(tmp_path / "new")
    assert family._repr_html_() is None
    with pytest.raises(FileNotFoundError, match=r"by evaluate\(validation, calibration=train\)"):
        family.best()
    with pytest.raises(ValueError, match=r"Received: no validation\."):
        family.evaluate()
    with pytest.raises(ValueError, match=r"Received: no calibration\."):
        family.evaluate(shown["validation"])


def test_a_family_keeps_what_is_known_of_its_device(shown, tmp_path, make_predictor):
    model = shown["model"]
    predictor = make_predictor(*OperatorWork(model.groups).kinds)
    spec = dataclasses.replace(model.spec, predictor=predictor)
    trained = SimpleNamespace(
        supernet=model.supernet,
        frozen_pool=model.frozen_pool,
        spec=spec,
        task=model.task,
        seed=0,
        pool_weights=model.pool_weights,
    )
    save_family(trained, tmp_path / "family", labels=(), overwrite=False)
    family = ofar_tf.load(tmp_path / "family")
    mask, size = family.pool[0].mask, family.resolutions[0]
    # A millisecond for each million multiply-adds.
    assert family.costs.milliseconds(mask, size) == pytest.approx(family.costs.macs(mask, size) / 1e6)


def small_family(pool):
    image = keras.Input((16, 16, 3))
    x = image
    for name in ("body", "tail"):
        x = keras.layers.Conv2D(8, 3, use_bias=False, name=f"{name}_conv")(x)
        x = keras.layers.ReLU(name=f"{name}_relu")(keras.layers.BatchNormalization(name=f"{name}_norm")(x))
    x = keras.layers.Dense(2, name="tail_dense")(keras.layers.GlobalAveragePooling2D(name="tail_pool")(x))
    model = ofar_tf.OnceForAll(keras.Model(image, x), pool=pool)
    search = ofar_tf.MaskSearch(epochs=0)
    search.set_model(model)
    search.on_train_begin()
    return model


def test_a_family_keeps_what_its_pool_leaves_alone(tmp_path):
    pool = ofar_tf.PoolSpec.of(pruning_rates=[0.0, 0.5], resolutions=[16], outside=["tail_*"])
    model = small_family(pool)
    model.save(tmp_path / "family")
    family = ofar_tf.load(tmp_path / "family")
    assert [group.name for group in family.groups.groups] == ["body_conv"]
    assert [network.mask for network in family.pool] == model.masks
    # 14 x 14 positions of 3 x 3 x 3 x 8.
    assert family.costs.macs(family.pool[0].mask, 16) == family.pool[0].macs == 14 * 14 * 27 * 8


def test_a_family_that_load_would_take_for_classifiers_is_not_saved(tmp_path):
    model = small_family(ofar_tf.PoolSpec.of(pruning_rates=[0.0, 0.5], resolutions=[16]))
    model.task = SimpleNamespace()
    with pytest.raises(ValueError, match=r"^Expected a family of classifiers, .* Received: a family of SimpleNames"):
        model.save(tmp_path / "family")
    assert not (tmp_path / "family").exists()


def test_what_was_saved_is_overwritten_only_if_asked_and_by_a_whole_family(shown, tmp_path, monkeypatch):
    model = shown["model"]
    (tmp_path / "mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"^Expected an empty folder or none yet"):
            model.save(tmp_path, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(ValueError, match=r"Expected a folder: a family is more than one network"):
        model.save(tmp_path / "model.keras")
    folder = tmp_path / "family"
    model.save(folder)
    with pytest.raises(ValueError, match=r"which holds something\.$"):
        model.save(folder)
    model.save(folder, overwrite=True)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(type(model.pool_weights), "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        for place in (folder, tmp_path / "new"):
            with pytest.raises(KeyboardInterrupt):
                model.save(place, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    model.save(tmp_path / "new")
    with pytest.raises(ValueError, match="Expected a model whose structures are frozen"):
        shown["long_form"].save(tmp_path / "other")


@pytest.mark.parametrize("name", ["supernet.keras", "pool.json"])
def test_a_changed_file_is_refused_before_it_is_read(name, shown, tmp_path):
    shown["model"].save(tmp_path / "family")
    with (tmp_path / "family" / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ValueError, match=rf"as they were saved\. Received: other content of {name}\.$"):
        ofar_tf.load(tmp_path / "family")


def test_a_table_of_other_networks_is_refused(shown, tmp_path):
    shown["model"].save(tmp_path / "family")
    for name in ("subnets.csv", "evaluation.npz"):
        (tmp_path / "family" / name).write_bytes((shown["folder"] / "family" / name).read_bytes())
    family = ofar_tf.load(tmp_path / "family")
    assert len(family.table) == 2  # The same networks.
    weight = family.supernet.weights[0]
    weight.assign(weight + 1.0)
    with pytest.raises(ValueError, match=r"as evaluate\(validation, .*\) writes it; .*: that of another training\.$"):
        _ = family.table


def test_a_folder_that_holds_no_family_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"which has neither config\.json nor family\.json\.$"):
        ofar_tf.load(tmp_path)


def row(name, macs, top1, *, params=10, images=100_000):
    return SubnetRow(name, 0.5, Size.of(16), macs, params, Scores(METRIC, {"top1": top1, "top5": 1.0}, images))


def test_the_best_is_the_most_accurate_that_fits_and_of_equals_the_cheapest():
    rows = [row("a", 300, 0.9, params=5), row("b", 200, 0.8), row("c", 100, 0.8), row("d", 50, 0.4)]
    assert best_row(rows, RowLimits()).structure == "a"
    assert best_row(rows, RowLimits(max_macs=200)).structure == "c"
    assert best_row(rows, RowLimits(max_macs="0.05K")).structure == "d"
    assert best_row(rows, RowLimits(max_params=5)).structure == "a"
    # A difference that the images cannot show is not worth twice the cost.
    few = [row("a", 300, 0.81, images=50), row("b", 100, 0.8, images=50)]
    assert best_row(few, RowLimits()).structure == "b"


def test_limits_that_nothing_keeps_name_the_cheapest():
    with pytest.raises(ValueError, match=r"Received: at most 99 MACs, and the cheapest, a at 16 pixels, has 300 MACs"):
        best_row([row("a", 300, 0.9)], RowLimits(max_macs=99))
    with pytest.raises(ValueError, match="Expected a positive quantity"):
        RowLimits(max_macs=0)


def test_explain_takes_any_functional_model():
    image = keras.Input((16, 16, 3))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3)(image)))
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    explanation = ofar_tf.explain(model, resolution=16)
    # 14 x 14 positions of 3 x 3 x 3 x 8, and 8 x 2.
    assert explanation.macs == 14 * 14 * 27 * 8 + 16
    assert explanation.prunable_share == 1.0
    assert io.StringIO(str(explanation)).readline().strip() == "8 prunable channels in 1 groups"
