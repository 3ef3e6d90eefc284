"""What is written into `report.html`; test_report_page.py opens it in a browser."""

import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest

from ofar_tf.checks.accuracy_check import AccuracyCheck
from ofar_tf.checks.layer_error import LayerError
from ofar_tf.family.columns import REPORT, columns_of
from ofar_tf.family.manifest import Manifest
from ofar_tf.family.report.class_results import class_results
from ofar_tf.family.report.measures import measures_of
from ofar_tf.family.report.report import write_report
from ofar_tf.family.report.search_record import SearchRecord, SimilarityMap
from ofar_tf.pruning.channel_groups import ChannelGroup
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool
from ofar_tf.tasks.classification.accuracy import accuracy
from ofar_tf.tasks.classification.predictions import NO_CLASS, Predictions
from ofar_tf.tasks.examples import Example
from ofar_tf.tflite.latency import Latency

PAGE = resources.files("ofar_tf.family.report") / "page"


class Elements(HTMLParser):
    """The start tags of a page, and the text inside each kind of element."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self._inside = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = tag

    def handle_data(self, data):
        self.texts.append((self._inside, data))


@pytest.fixture
def manifest(make_entry, header):
    """A large file in two precisions, of which one failed, and a small one; measured on one device."""
    timed = {"latency": (Latency("laptop", 2, 4.0, 5.0),), "arena_bytes": 31_500, "gpu_refused": {}}
    blamed = {"layer_errors": (LayerError("stem_relu", "CONV_2D", 0.04, 0.03), LayerError("logits", "ADD", 0.05, 0.01))}
    return Manifest(
        **vars(header),
        models=(
            make_entry("large", macs=5_000_000, top1=0.9, structure="rate0", bytes=2_500_000, pareto=True, **timed),
            make_entry("large", macs=5_000_000, top1=0.8, quantization="int8", reasons=("Too far off.",), **blamed),
            make_entry("small", macs=1_250_000, top1=0.75, structure="rate50", bytes=900_000),
        ),
    )


@pytest.fixture
def record():
    groups = (ChannelGroup("stem", 0, 4, ("stem", "stem_bn"), (1,)), ChannelGroup("body", 4, 2, ("body",), (3,)))
    masks = [ChannelMask(groups, np.array(keep, bool)) for keep in ([1, 1, 1, 1, 1, 1], [1, 0, 0, 1, 0, 1])]
    networks = [
        PrunedNetwork(name, mask.rate, mask, macs, 100, at, converged)
        for name, mask, macs, at, converged in zip(
            ("rate0", "rate50"), masks, (5_000_000, 1_250_000), (2, 3), (True, False), strict=True
        )
    ]
    maps = (
        SimilarityMap("rate0", ((1.0,) * 3,) * 3),
        SimilarityMap("rate50", ((1, 0.4, None), (0.4, 1, 0.75), (None, 0.75, 1))),
    )
    return SearchRecord(PrunedNetworkPool(tuple(networks)), maps)


@pytest.fixture
def page_of(tmp_path):
    def write(manifest, search=None):
        write_report(tmp_path / "report.html", manifest, search=search, kind="image classifiers")
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


def test_equal_arguments_give_equal_bytes(page_of, manifest, record):
    assert page_of(manifest, record) == page_of(manifest, record)


def test_the_page_loads_nothing(page_of, manifest, record):
    tags = Elements(page_of(manifest, record)).tags
    assert [tag for tag in tags if {"src", "href", "srcset", "data", "action", "poster"} & set(tag[1])] == []
    policy = next(each["content"] for _, each in tags if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';") and "http" not in policy


def test_a_page_is_small(page_of, manifest, record):
    assert len(page_of(manifest, record)) < 300_000


def test_names_are_text_and_never_markup(page_of, manifest, record):
    evil = "</script><script>alert(1)</script><b>&amp;"
    models = tuple(dataclasses.replace(model, structure=evil) for model in manifest.models)
    search = dataclasses.replace(record, similarity=(dataclasses.replace(record.similarity[1], structure=evil),))
    page = page_of(dataclasses.replace(manifest, models=models, dataset={"name": evil}), search)
    assert "alert(1)</script>" not in page and "<b>" not in page
    elements = Elements(page)
    assert [tag for tag, _ in elements.tags].count("script") == 6
    # Read back, it is what it was: in the title, the table, the figure's label and the data of the program.
    assert ("title", f"Which file to ship: {evil}") in elements.texts
    assert {each.get("data-order") for tag, each in elements.tags if tag == "td"} >= {evil}
    assert any(evil in (each.get("aria-label") or "") for tag, each in elements.tags if tag == "svg")
    data = json.loads(next(text for tag, text in elements.texts if tag == "script" and text.startswith("{")))
    assert data["files"][0]["structure"] == evil


def test_the_table_says_what_each_file_costs_and_reaches(manifest):
    columns = columns_of(manifest, REPORT)
    large, failed, small = (
        {f"{c.heading} {c.note}".strip(): c.text(file) for c in columns} for file in manifest.models
    )
    assert large == {
        "File": "large",
        "Precision": "float32",
        "Top-1 %": "90.00",
        "Change from Keras, points": "+0.00",
        "MACs": "5M",
        "Bytes": "2.5M",
        "Latency ms, laptop, 2 threads": "4",
        "GPU by LiteRT's list": "takes all",
        "Pixels": "16",
        "Weights": "100",
        "Structure": "rate0",
        "Front by MACs": "yes",
        "Check": "passed",
    }
    assert failed["Check"] == "✗ failed" and failed["Front by MACs"] == ""
    assert small["Latency ms, laptop, 2 threads"] == ""
    assert small["GPU by LiteRT's list"] == ""


def test_the_interval_stands_below_each_accuracy_and_the_spread_below_each_latency(manifest):
    medians = {"large": (4.0, 3.9, 4.4), "small": (4.1, 4.0, 4.2)}
    models = tuple(
        dataclasses.replace(model, latency=(Latency("laptop", 2, ms, spread_ms=(least, most)),))
        for model, (ms, least, most) in zip(manifest.models[::2], medians.values(), strict=True)
    )
    columns = {column.heading: column for column in columns_of(dataclasses.replace(manifest, models=models), REPORT)}
    # 180 of 200: Wilson's interval by hand is (.9 + .0096 +- 1.96 * sqrt(.00045 + .000024)) / 1.0192.
    assert columns["Top-1"].detail(models[0]) == "85.1-93.4"
    assert [columns["Latency"].text(model) for model in models] == ["4 ≈", "4.1 ≈"]
    assert [columns["Latency"].detail(model) for model in models] == ["3.9-4.4", "4-4.2"]


def test_a_failed_row_is_marked_and_its_reasons_stand_below_the_table(page_of, manifest):
    page = page_of(manifest).replace("<wbr>", "")
    assert page.count('<tr class="failed">') == 1 and page.count('<tr class="passed">') == 2
    assert "What failed" in page and "<strong>large_int8.tflite</strong> Too far off.</li>" in page
    assert "Too far off." not in page[page.index("<tbody>") : page.index("</tbody>")]
    assert "What failed" not in page_of(dataclasses.replace(manifest, models=manifest.models[::2]))


def test_what_the_images_cannot_tell_is_said(page_of, manifest):
    unsure = AccuracyCheck("cannot_tell", 0.01, images=72, losses=1, gains=0, drop=(-0.02, 0.06))
    small = manifest.models[2]
    small = dataclasses.replace(small, checks=dataclasses.replace(small.checks, accuracy=unsure))
    page = page_of(dataclasses.replace(manifest, models=(small,))).replace("<wbr>", "")
    assert '<tr class="cannot_tell">' in page and "? cannot tell" in page
    assert f"<strong>small_float32.tflite</strong> {unsure.sentence}" in page


def test_the_page_describes_itself_and_says_on_which_images_files_are_chosen(page_of, manifest):
    page = page_of(manifest)
    (described,) = (each["content"] for tag, each in Elements(page).tags if each.get("name") == "description")
    assert described.startswith("3 TFLite image classifiers from one training on fashion_mnist_mini: accuracy with ")
    assert "since there is no selection split" in page
    chosen = tuple(
        dataclasses.replace(model, selection=accuracy(top1=0.5, top5=1.0, images=123)) for model in manifest.models
    )
    selected = dataclasses.replace(manifest, models=chosen)
    assert "by their accuracy on 123 images of the selection split" in page_of(selected)
    assert "Selection" in [column.heading for column in columns_of(selected, REPORT)]
    data = json.loads(next(text for tag, text in Elements(page_of(selected)).texts if text.startswith("{")))
    assert [(file["score"], file["choice"]) for file in data["files"]] == [(0.9, 0.5), (0.8, 0.5), (0.75, 0.5)]


def test_classes_and_their_confusion_are_counted_from_the_predictions(manifest, tmp_path):
    truth = np.array([0, 0, 0, 0, 1, 1, 2])
    said = np.array([0, 0, 1, 1, 1, 2, NO_CLASS])
    answers = Predictions(truth, said, np.where(truth == said, 0, 1))
    found = class_results(answers, ("cat", "dog", "<eel>"))
    assert [(each.label, each.images, each.top1, each.mistaken_for, each.mistakes) for each in found.classes] == [
        ("<eel>", 1, 0.0, "", 0),
        ("cat", 4, 0.5, "dog", 2),
        ("dog", 2, 0.5, "<eel>", 1),
    ]
    assert found.matrix == ((2, 2, 0), (0, 1, 1), (0, 0, 0))
    predictions = {manifest.models[0].path: answers}
    write_report(
        tmp_path / "report.html",
        manifest,
        predictions=predictions,
        labels=("cat", "dog", "<eel>"),
        kind="image classifiers",
    )
    page = (tmp_path / "report.html").read_text().replace("<wbr>", "")
    assert "large_float32.tflite: worst class &lt;eel&gt; with 0.0 %" in page and "<eel>" not in page
    assert "<td>dog (2)</td>" in page and page.count('class="number right"') == 3


def test_of_many_classes_the_worst_are_listed_without_a_matrix():
    truth = np.arange(100).repeat(2)
    said = np.where(truth < 30, (truth + 1) % 100, truth)
    found = class_results(Predictions(truth, said, (truth != said).astype(int)), [f"c{i}" for i in range(100)])
    assert found.count == 100 and len(found.classes) == 20 and found.matrix == ()
    assert {each.top1 for each in found.classes} == {0.0}
    with pytest.raises(ValueError, match=r"Expected a name for each class. Received: 99 names"):
        class_results(Predictions(truth, said, (truth != said).astype(int)), ["c"] * 99)


def test_operators_that_a_gpu_refuses_are_named(manifest):
    refusing = dataclasses.replace(manifest.models[0], gpu_refused={"SQUEEZE": "has no kernel", "TILE": "no"})
    (column,) = (each for each in columns_of(manifest, REPORT) if each.heading == "GPU")
    assert column.text(refusing) == "refuses SQUEEZE, TILE"


def test_the_layers_to_blame_are_shown_open_where_a_file_failed(manifest, tmp_path):
    good = dataclasses.replace(
        manifest.models[2],
        quantization="int8",
        path="small/small_int8.tflite",
        layer_errors=manifest.models[1].layer_errors,
    )
    write_report(
        tmp_path / "report.html",
        dataclasses.replace(manifest, models=(*manifest.models[:2], good)),
        kind="image classifiers",
    )
    page = (tmp_path / "report.html").read_text().replace("<wbr>", "")
    assert "<details open><summary>large_int8.tflite: layers to blame</summary>" in page
    assert "<details><summary>small_int8.tflite</summary>" in page
    cells = '<th scope="row">stem_relu</th><td>CONV_2D</td>\n        <td class="number">3</td><td class="number">4</td>'
    assert page.count(cells) == 2


def test_a_file_that_did_not_run_has_no_accuracy(manifest, header):
    broken = dataclasses.replace(manifest.models[1], metrics=None)
    texts = {c.heading: (c.text(broken), c.order(broken)) for c in columns_of(manifest, REPORT)}
    assert texts["Top-1"] == texts["Change"] == ("", None)


def test_units_fit_the_largest_file(manifest):
    assert [(m.key, m.unit, m.scale) for m in measures_of(manifest)] == [
        ("macs", "M MACs", 1_000_000),
        ("bytes", "MB", 1_000_000),
        ("latency", "ms", 1),
    ]


def test_latency_is_offered_as_what_select_limits_and_for_each_device(manifest):
    timings = (Latency("laptop", 2, 4.0, 5.0), Latency("phone", 1, 9.0, 9.5), Latency("phone", 4, 3.0, 3.5))
    large = dataclasses.replace(manifest.models[0], latency=timings)
    measures = measures_of(dataclasses.replace(manifest, models=(large, *manifest.models[1:])))[2:]
    assert [(m.label, m.cost(large), m.cost(manifest.models[1])) for m in measures] == [
        ("Latency, the slowest of all devices", 9.0, None),
        ("Latency, laptop, 2 threads", 4.0, None),
        ("Latency, phone, 1 thread", 9.0, None),
        ("Latency, phone, 4 threads", 3.0, None),
    ]


def test_latency_is_not_offered_where_nothing_was_timed(manifest):
    models = tuple(dataclasses.replace(model, latency=()) for model in manifest.models)
    untimed = dataclasses.replace(manifest, models=models)
    assert [measure.key for measure in measures_of(untimed)] == ["macs", "bytes"]
    assert "Latency" not in [column.heading for column in columns_of(untimed, REPORT)]


def test_the_widths_of_each_structure_are_shown(page_of, manifest, record):
    page = re.sub(r"\s+", " ", page_of(manifest, record))
    shares = re.findall(r'--share: ([\d.]+)%">(\d+)<span class="of"> of (\d+)<', page)
    # rate50 keeps channels 0 and 3 of the stem and one of the body's two.
    assert shares == [("100.0", "4", "4"), ("50.0", "2", "4"), ("100.0", "2", "2"), ("50.0", "1", "2")]
    assert "50 % pruned, 1.25M MACs" in page and "stem, stem_<wbr>bn" in page


def test_the_similarity_map_has_a_square_for_each_known_pair_of_epochs(page_of, manifest, record):
    page = page_of(manifest, record)
    titles = re.findall(r'<rect x="(\d)" y="(\d)" [^>]*fill="(#\w+)"><title>([^<]+)</title>', page)
    assert len(titles) == 9 + 7
    # Viridis from 0.5 to 1; the first epoch is at the lower left.
    assert ("0", "2", "#fde725", "epochs 1 and 1: 1.000") in titles
    assert ("1", "2", "#440154", "epochs 1 and 2: 0.400") in titles
    assert ("2", "1", "#21918c", "epochs 2 and 3: 0.750") in titles
    assert "frozen after epoch 2" in page and "not settled at epoch 3" in page


def test_of_a_long_search_some_epochs_are_drawn_from_the_first_to_the_last(page_of, manifest, record):
    long = SimilarityMap("rate0", ((1.0,) * 100,) * 100)
    page = page_of(manifest, dataclasses.replace(record, similarity=(long,)))
    assert page.count("<rect") == 32 * 32
    assert "epochs 1 and 100: 1.000" in page


def test_what_is_not_known_of_the_search_is_left_out(page_of, manifest, record):
    def sections(page):
        return [each["aria-labelledby"] for tag, each in Elements(page).tags if tag == "section"]

    always = ["choose-heading", "plot-heading", "files-heading", "layers-heading"]
    assert sections(page_of(manifest)) == always
    assert sections(page_of(manifest, dataclasses.replace(record, similarity=()))) == [*always, "widths-heading"]
    assert sections(page_of(manifest, record)) == [*always, "widths-heading", "similarity-heading"]


def test_a_manifest_without_files_is_refused(header, tmp_path):
    with pytest.raises(ValueError, match=r"Expected a manifest with at least one file. Received: none\."):
        write_report(tmp_path / "report.html", Manifest(**vars(header), models=()), kind="image classifiers")


def test_the_plotting_library_is_the_published_file_with_its_licence():
    # Of dist/chart.umd.min.js in https://registry.npmjs.org/chart.js/-/chart.js-4.6.1.tgz.
    content = (PAGE / "chart.umd.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == "87364cc2b2a76a6684929e7d6b80b18a897794db38400caff1fcf1791c6925d2"
    assert "Chart.js v4.6.1" in content[:60].decode() and "</script" not in content.decode()
    assert "The MIT License" in (PAGE / "chart.LICENSE").read_text()


def colours():
    """The colours of the light and of the dark page."""
    blocks = re.findall(r":root \{(.*?)\}", (PAGE / "page.css").read_text(), re.DOTALL)
    return [dict(re.findall(r"--([\w-]+): (#\w{6});", block)) for block in blocks]


def luminance(colour):
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first, second):
    """WCAG 2.2's contrast ratio."""
    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_marks_stand_out_from_what_lies_behind_them(scheme):
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    found = colours()[scheme]
    grounds = [found["page"], found["panel"]]
    assert min(contrast(found[name], ground) for name in ("text", "muted", "bad") for ground in grounds) >= 4.5
    assert contrast(found["text"], found["bar"]) >= 4.5
    marks = ["accent", "edge", *(f"series-{number}" for number in range(8))]
    assert min(contrast(found[name], found["page"]) for name in marks) >= 3


def test_what_files_say_of_some_images_is_shown_and_nothing_is_loaded_from_elsewhere(manifest, tmp_path):
    pixels = np.zeros((8, 8, 3))
    drawn = (Example.drawn(pixels, "eel, 61%; it is <cat>", right=False), Example.drawn(pixels, "eel, 90%", right=True))
    examples = {manifest.models[0].path: drawn, manifest.models[2].path: (Example.drawn(pixels, "2 there, 1 found"),)}
    write_report(tmp_path / "report.html", manifest, examples=examples, kind="image classifiers")
    elements = Elements((tmp_path / "report.html").read_text())
    pictures = [attributes for tag, attributes in elements.tags if tag == "img"]
    assert [each["alt"] for each in pictures] == ["eel, 61%; it is <cat>", "eel, 90%", "2 there, 1 found"]
    assert all(each["src"].startswith("data:image/webp;base64,") for each in pictures)
    assert [each.get("class") for tag, each in elements.tags if tag == "figure"] == ["wrong", "right", None]
    captions = [text for tag, text in elements.texts if tag == "figcaption" and text.strip()]
    assert captions == ["✗ eel, 61%; it is <cat>", "✓ eel, 90%", "2 there, 1 found"]
