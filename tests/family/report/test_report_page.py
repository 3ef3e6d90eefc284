"""`report.html` as a browser shows it, opened from the disk like by a double click."""

import dataclasses
import html
import json
import os
import re
import shutil
import subprocess
from collections import namedtuple

import numpy as np
import pytest

from ofar_tf.evaluation.pareto import pareto_front
from ofar_tf.family.manifest import Latency, Manifest
from ofar_tf.family.report.measures import measures_of
from ofar_tf.family.report.report import write_report
from ofar_tf.family.report.search_record import SearchRecord, SimilarityMap
from ofar_tf.pruning.channel_groups import ChannelGroup
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool
from ofar_tf.shipping.selection import Limits, choose

# Without these the browser looks for its maker's servers at every start.
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", *QUIET)
# The browser makes no narrower window; a frame can be of any width.
LEAST_WINDOW = 500
LIMITS = {"macs": "max_macs", "bytes": "max_bytes", "latency": "max_latency_ms"}
WATCH = """<script>
const troubles = [];
const note = (event) => troubles.push(event.message ?? event.blockedURI);
for (const kind of ["error", "unhandledrejection", "securitypolicyviolation"]) addEventListener(kind, note);
</script>"""
REPORT = """<script>
addEventListener("load", async () => {
  const element = (id) => document.getElementById(id);
  const set = (id, value, kind) => { element(id).value = value; element(id).dispatchEvent(new Event(kind)); };
  const shown = () => element("path").textContent || null;
  const drawn = (label) => Chart.getChart("plot").data.datasets.find((each) => each.label === label).data;
  const found = await (async () => { PROBE })();
  const output = document.createElement("pre");
  output.id = "found";
  output.textContent = JSON.stringify({ found, troubles });
  top.document.body.append(output);
});
</script>"""


@pytest.fixture(scope="module")
def chromium():
    """The browser: named by OFAR_TF_CHROMIUM, which CI sets, or on the path."""
    path = os.environ.get("OFAR_TF_CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.skip("no chromium; on Debian: apt install chromium")
    return path


@pytest.fixture(scope="module")
def browse(chromium, tmp_path_factory):
    """Opens a page, runs JavaScript after it has loaded, and returns the value; no error may occur on the way."""

    def browse(page, probe, *, width=1280):
        folder = tmp_path_factory.mktemp("browser")
        watched = page.read_text(encoding="utf-8").replace(
            '<meta charset="utf-8">', f'<meta charset="utf-8">{WATCH}', 1
        )
        watched = watched.replace("</body>", f"{REPORT.replace('PROBE', probe)}</body>")
        if width < LEAST_WINDOW:
            frame = f'width="{width}" height="800" frameborder="0" srcdoc="{html.escape(watched)}"'
            watched = f"<!doctype html><iframe {frame}></iframe>"
        (folder / "report.html").write_text(watched, encoding="utf-8")
        command = [chromium, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},800"]
        command += ["--virtual-time-budget=10000", "--dump-dom", (folder / "report.html").as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        match = re.search(r'<pre id="found">(.*)</pre>', done.stdout, re.DOTALL)
        assert match, done.stderr[-2000:]
        result = json.loads(html.unescape(match[1]))
        assert result["troubles"] == []
        return result["found"]

    return browse


@pytest.fixture(scope="module")
def manifest(make_entry, header):
    """Sixteen files with ties, failures, a file that does not run and one that was timed on one device only."""
    random = np.random.default_rng(4)
    models = []
    for step in range(8):
        macs, bytes_ = 41_234_567 // (step + 1), int(1_500_000 * random.uniform(0.05, 1))
        for precision, share in (("float32", 1.0), ("int8", 0.3)):
            # Only five accuracies, so that some are equal.
            top1 = round(0.6 + 0.05 * int(random.integers(5)), 2)
            milliseconds = random.uniform(0.5, 30, 2).tolist()
            models.append(
                make_entry(
                    f"net{step}",
                    macs=macs,
                    top1=top1,
                    quantization=precision,
                    structure=f"rate{step % 3}",
                    bytes=int(bytes_ * share),
                    latency=tuple(Latency(d, 4, ms, ms) for d, ms in zip(("host", "phone"), milliseconds, strict=True)),
                )
            )
    models[3] = make_entry("broken", macs=models[3].macs, top1=0.99, quantization="int8", reasons=("Wrong.",), bytes=10)
    models[6] = dataclasses.replace(models[6], metrics=None, checks=models[3].checks)
    models[8] = dataclasses.replace(models[8], latency=models[8].latency[:1])
    models[9] = dataclasses.replace(models[9], latency=())
    return Manifest(**vars(header), models=tuple(models))


@pytest.fixture(scope="module")
def page(manifest, tmp_path_factory):
    groups = (ChannelGroup("a_rather_long_name_of_a_convolution", 0, 4, ("conv", "bn"), (1,)),)
    masks = [ChannelMask(groups, np.arange(4) < kept) for kept in (4, 3, 2)]
    networks = [PrunedNetwork(f"rate{i}", mask.rate, mask, 40 - i, 9, 2, True) for i, mask in enumerate(masks)]
    maps = tuple(SimilarityMap(network.name, ((1.0,) * 5,) * 5) for network in networks)
    path = tmp_path_factory.mktemp("export") / "report.html"
    write_report(
        path, manifest, search=SearchRecord(PrunedNetworkPool(tuple(networks)), maps), kind="image classifiers"
    )
    return path


def restricted(manifest, key):
    """The manifest whose latencies are those of a measure's device alone, and the name of the limit."""
    if key in LIMITS:
        return manifest, LIMITS[key]
    device = ("host", "phone")[int(key.removeprefix("latency"))]
    kept = [tuple(each for each in model.latency if each.device == device) for model in manifest.models]
    models = tuple(dataclasses.replace(m, latency=latency) for m, latency in zip(manifest.models, kept, strict=True))
    return dataclasses.replace(manifest, models=models), "max_latency_ms"


def selected(manifest, key, precision, units, prefer="size"):
    """What `select` chooses for a budget in the units of the page."""
    scale = next(measure.scale for measure in measures_of(manifest) if measure.key == key)
    manifest, limit = restricted(manifest, key)
    try:
        budget = {limit: units if scale == 1 else round(units * scale)}
        return choose(manifest, Limits(quantization=precision or None, **budget), prefer=prefer)[0].path
    except ValueError:
        return None


def test_the_page_chooses_as_select_does_for_any_budget(browse, page, manifest):
    random = np.random.default_rng(0)
    questions = []
    for measure in measures_of(manifest):
        costs = [cost for model in manifest.models if (cost := measure.cost(model)) is not None]
        budgets = np.geomspace(0.7 * min(costs), 1.2 * max(costs), 12) * random.uniform(0.95, 1.05, 12)
        # At the cost of a file itself, and a hair below.
        budgets = [*(budgets / measure.scale).tolist(), *(cost / measure.scale for cost in costs)]
        budgets += [float(np.nextafter(c, 0)) if measure.scale == 1 else (c - 1) / measure.scale for c in costs]
        kinds = [(precision, prefer) for precision in ("", "float32", "int8") for prefer in ("size", "accuracy")]
        questions += [(measure.key, *kind, budgets) for kind in kinds]
    answers = browse(
        page,
        f"""return {json.dumps(questions)}.map(([measure, precision, prefer, budgets]) => {{
          set("measure", measure, "change"); set("precision", precision, "change"); set("prefer", prefer, "change");
          return budgets.map((budget) => {{ set("budget", budget, "input"); return shown(); }}); }});""",
    )
    expected = [
        [selected(manifest, key, precision, each, prefer) for each in budgets]
        for key, precision, prefer, budgets in questions
    ]
    assert answers == expected
    named = {path for paths in expected for path in paths}
    assert len(named) >= 8 and None in named


def test_every_stop_of_the_slider_names_a_file_and_the_last_one_is_as_accurate_as_any(browse, page, manifest):
    stops = browse(
        page,
        """return [...Array(201).keys()].map((stop) => { set("slider", stop, "input");
          const said = element("slider").getAttribute("aria-valuetext");
          return [element("budget").valueAsNumber, shown(), said]; });""",
    )
    budgets = [budget for budget, _, _ in stops]
    assert budgets == sorted(budgets) and budgets[0] == 5.16 and budgets[-1] == 41.3
    assert [path for _, path, _ in stops] == [selected(manifest, "macs", "", budget) for budget in budgets]
    assert all(text == f"{budget:g} M MACs: {path}" for budget, path, text in stops)
    best = max((model for model in manifest.models if model.checks.passed), key=lambda model: model.merit)
    last = next(model for model in manifest.models if model.path == stops[-1][1])
    assert best.merit - best.choice_noise <= last.merit and last.bytes <= best.bytes


def test_a_typed_budget_moves_the_slider_and_is_kept(browse, page):
    found = browse(
        page,
        """set("budget", "12.34", "input");
        const [text, stop] = [element("budget").value, Number(element("slider").value)];
        set("slider", stop, "input");
        return [text, stop, element("budget").valueAsNumber];""",
    )
    text, stop, rounded = found
    assert text == "12.34" and 0 < stop < 200
    # The stop is the first that is no smaller, and stops are 8 ** (1 / 200) apart, about one per cent.
    assert 12.34 <= rounded <= 12.34 * 1.02


def test_a_budget_below_every_file_names_the_cheapest(browse, page, manifest):
    verdict, step, path = browse(
        page,
        """set("budget", "0.001", "input");
        return [...["verdict", "next-step"].map((id) => element(id).innerText), shown()];""",
    )
    cheapest = max((m for m in manifest.models[-2:] if m.checks.passed), key=lambda m: (m.merit, -m.bytes))
    assert verdict == "No file fits within 0.001 M MACs."
    assert step.startswith(f"Cheapest: {cheapest.path} (") and path is None


Point = namedtuple("Point", "macs merit")


def test_the_plot_shows_every_file_that_runs_and_the_front_of_each_cost(browse, page, manifest):
    keys = [measure.key for measure in measures_of(manifest)]
    drawn = browse(
        page,
        f"""return {json.dumps(keys)}.map((key) => ["", "int8"].map((precision) => {{
          set("measure", key, "change"); set("precision", precision, "change");
          return ["files", "front", "chosen"].map((label) => drawn(label).map(({{ file }}) => file.path)); }}));""",
    )
    for measure, by_precision in zip(measures_of(manifest), drawn, strict=True):
        for precision, (files, front, chosen) in zip(("", "int8"), by_precision, strict=True):
            costed = [m for m in manifest.models if measure.cost(m) is not None and precision in ("", m.quantization)]
            assert files == [model.path for model in costed if model.metrics]
            passed = [model for model in costed if model.checks.passed]
            points = [Point(measure.cost(model), model.merit) for model in passed]
            best = pareto_front(points, noise=[model.choice_noise for model in passed])
            assert set(front) == {m.path for m, is_best in zip(passed, best, strict=True) if is_best}
            assert chosen == [selected(manifest, measure.key, precision, 1e9)]


def test_the_buttons_of_the_table_sort_it(browse, page, manifest):
    found = browse(
        page,
        """const heads = [...document.querySelectorAll("#files thead th")];
        const column = (name) => heads.findIndex((head) => head.innerText.trim().startsWith(name));
        const sorted = (name) => { const index = column(name); heads[index].querySelector("button").click();
          const cells = [...document.querySelectorAll(`#files tbody tr > :nth-child(${index + 1})`)];
          const ways = heads.map((head) => head.getAttribute("aria-sort")).filter(Boolean);
          return [ways, cells.map((cell) => cell.innerText)]; };
        return [sorted("Bytes"), sorted("Bytes"), sorted("Top-1"), sorted("File")];""",
    )
    sizes = sorted(model.bytes for model in manifest.models)
    (way, rising), (other_way, falling), (_, tops), (_, names) = found
    assert way == ["ascending"] and other_way == ["descending"] and falling == rising[::-1]
    factors = {"K": 1e3, "M": 1e6}
    assert [float(t.rstrip("KM")) * factors.get(t[-1], 1) for t in rising] == pytest.approx(sizes, rel=6e-3)
    accuracies = [float(text.split()[0]) for text in tops[:-1]]
    assert tops[-1] == "" and accuracies == sorted(accuracies)
    assert names == sorted(names)


def test_the_file_to_ship_is_marked_in_the_table_after_sorting_too(browse, page):
    marked, path = browse(
        page,
        """set("precision", "int8", "change");
        document.querySelector("#files thead button").click();
        return [[...document.querySelectorAll("tr[aria-current]")].map((row) => row.innerText), shown()];""",
    )
    assert len(marked) == 1 and marked[0].split()[:2] == [path.split("/")[0], "int8"]


def test_every_control_has_a_name_can_be_reached_by_keyboard_and_shows_the_focus(browse, page):
    controls = browse(
        page,
        """const controls = [...document.querySelectorAll("select, input, button, summary, [tabindex]")];
        return controls.filter((control) => control.checkVisibility()).map((control) => {
          control.focus();
          const labels = [control.labels?.[0], element(control.getAttribute("aria-labelledby")), control];
          const name = control.getAttribute("aria-label") ?? labels.find(Boolean).textContent;
          return { name: name.trim(), index: control.tabIndex, focused: document.activeElement === control,
            outline: getComputedStyle(control).outlineStyle, height: control.getBoundingClientRect().height }; });""",
    )
    assert len(controls) > 15
    for each in controls:
        assert each["name"] and each["index"] == 0 and each["focused"] and each["outline"] == "solid", each
        # WCAG 2.2, 2.5.8: what fingers hit is at least 24 pixels high.
        assert each["height"] >= 24, each


def test_copy_puts_the_path_on_the_clipboard_or_selects_it(browse, page):
    path, said, selection = browse(
        page,
        """element("copy").click();
        await new Promise((done) => setTimeout(done, 200));
        return [shown(), element("copied").textContent, getSelection().toString()];""",
    )
    assert said == "Copied." or (said.startswith("Selected") and selection == path)


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_itself_never_scrolls_sideways(width, browse, page):
    inner, needed, plot = browse(
        page,
        """return [innerWidth, document.documentElement.scrollWidth, element("plot").clientWidth];""",
        width=width,
    )
    assert inner == width and needed <= width and 0.8 * width < plot < width


def test_the_table_of_files_fits_a_screen_of_1280_pixels(browse, make_entry, header, tmp_path):
    name = "mobilenet_v2_ofar_macs107m_r160"
    places = ("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz, 16 cores (this machine)", "Samsung Galaxy S24 Ultra")
    latency = tuple(Latency(place, 4, 123.4, 156.7, spread_ms=(119.9, 130.1)) for place in places)
    facts = {"latency": latency, "arena_bytes": 31_500_000, "structure": "macs107m", "bytes": 3_510_000}
    reason = ("Its top-1 accuracy is more than 0.01 below that of its Keras parent, and more that takes room. " * 4,)
    models = tuple(
        make_entry(name, macs=107_000_000, top1=0.7, quantization=kind, gpu_refused=refused, reasons=reasons, **facts)
        for kind, refused, reasons in (
            ("float32", {}, ()),
            ("int8_float_io", {"SQUEEZE": "no", "ARG_MAX": "no"}, reason),
        )
    )
    write_report(tmp_path / "report.html", Manifest(**vars(header), models=models), kind="image classifiers")
    seen, needed, rows = browse(
        tmp_path / "report.html",
        """const box = document.querySelector("#files").parentElement;
        return [box.clientWidth, box.scrollWidth,
          [...document.querySelectorAll("#files tbody tr")].map((row) => row.clientHeight)];""",
    )
    assert needed <= seen
    # A row is three lines at most, whatever failed.
    assert max(rows) < 75


def test_the_figure_has_bars_names_and_a_description(browse, page, manifest):
    said, described, texts, strokes = browse(
        page,
        """const context = element("plot").getContext("2d");
        const texts = []; let strokes = 0;
        const [fill, stroke] = [context.fillText, context.stroke];
        context.fillText = function (text, ...rest) { texts.push(text); return fill.call(this, text, ...rest); };
        context.stroke = function (...rest) { strokes += 1; return stroke.call(this, ...rest); };
        set("precision", "", "change");
        const described = element("plot").getAttribute("aria-describedby");
        return [element(described).textContent, described, texts, strokes];""",
    )
    assert described == "plot-description"
    assert said.startswith(
        "Top-1 accuracy of the files against multiply-adds; the bars are 95 % intervals. On the front: "
    )
    assert {text for text in texts if text.endswith("px")} <= {f"rate{step} 16px" for step in range(3)}
    assert any(text.endswith("px") for text in texts) and strokes > sum(
        model.metrics is not None for model in manifest.models
    )


def test_names_run_no_script(browse, manifest, tmp_path):
    evil = "</script><script>troubles.push('ran')</script><img src=x onerror=troubles.push('ran')>"
    models = tuple(dataclasses.replace(model, structure=evil) for model in manifest.models)
    write_report(
        tmp_path / "evil.html",
        dataclasses.replace(manifest, models=models, dataset={"name": evil}),
        kind="image classifiers",
    )
    title, text = browse(tmp_path / "evil.html", "return [document.title, element('facts').innerText];")
    assert title == f"Which file to ship: {evil}" and evil in text


def test_where_no_file_passed_the_page_says_so(browse, manifest, tmp_path):
    failed = dataclasses.replace(manifest, models=(manifest.models[3],))
    write_report(tmp_path / "failed.html", failed, kind="image classifiers")
    verdict, path, files = browse(
        tmp_path / "failed.html",
        "return [element('verdict').innerText, shown(), drawn('files').length];",
    )
    assert verdict == "No file passed its checks." and path is None and files == 1
