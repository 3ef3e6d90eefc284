"""`README.md` of an export folder: the model card, for people."""

from collections.abc import Iterator
from pathlib import Path

from ofar_tf.conversion.precision import FLOAT32_TOLERANCE, PRECISIONS
from ofar_tf.family.columns import CARD, SPEED, columns_of
from ofar_tf.family.kotlin_call import kotlin_image, kotlin_outputs, kotlin_run
from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.family.phone_benchmark import BINARY, SCRIPT
from ofar_tf.files import atomic_file
from ofar_tf.tasks.interface import Shipped
from ofar_tf.tasks.scores import Metric
from ofar_tf.text.quantities import format_quantity

_USE = """\
## Input and output

- Input: one RGB image, `[1, {shape}, 3]`, values 0 to 255, {sizes} in the file's name. Normalisation is inside
  the file. Files with `uint8` input take the bytes of the image as they are.
{outputs}

## On Android

Copy a file and `labels.txt` to `app/src/main/assets` and run it with LiteRT (`com.google.ai.edge.litert:litert`):

```kotlin
val bytes = context.assets.open("{path}").use { it.readBytes() }
val model = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder()).put(bytes)
val interpreter = Interpreter(model)
{image}{room}{run}
```

`pixels` are those of the image in the file's size, as `Bitmap.getPixels` gives them.

{metadata}

"""


_NOISE = {
    True: (
        "Each is more accurate than the one before by more than the noise, which is one standard error of its",
        "accuracy. Within the noise of the best, `select` takes the smallest file; for limits on size or latency:",
    ),
    False: ("Each is better than the one before. `select` takes the best file within limits on size or latency:",),
}
"""What the front means, by whether the metric counts images."""


def write_model_card(path: str | Path, manifest: Manifest, *, task: Shipped) -> None:
    """Writes the model card of an export folder.

    It says what the files are, how they were made and checked, which to ship and how to load them.

    Args:
        path: Where to, normally `README.md` in the export folder.
        manifest: The files, at least one.
        task: What they learned.

    Raises:
        ValueError: If the manifest has no files.
    """
    if not manifest.models:
        raise ValueError("Expected a manifest with at least one file. Received: none.")
    sections = [
        _origin(manifest, task),
        _splits(manifest),
        _choice(manifest),
        _files(manifest),
        _speed(manifest),
        _use(manifest, task),
        _checking(manifest),
    ]
    atomic_file.write_text(path, "".join(sections))


def _use(manifest: Manifest, task: Shipped) -> str:
    """Fills in how files are used; texts are put into braces one by one, since they have braces of their own."""
    first = next((model for model in manifest.models if model.form is None), manifest.models[0])
    square = all(model.resolution.is_square for model in manifest.models)
    parts = {
        "shape": "r, r" if square else "h, w",
        "sizes": "r the resolution" if square else "h and w",
        "outputs": task.outputs_note,
        "image": kotlin_image(first, pixels=" * ".join(map(str, first.input.shape[1:3]))),
        "room": kotlin_outputs(first),
        "run": kotlin_run(first, interpreter="interpreter"),
        "metadata": task.metadata_note,
        "path": Path(first.path).name,
    }
    text = _USE
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


def _origin(manifest: Manifest, task: Shipped) -> str:
    dataset = ", ".join(f"{name}: {value}" for name, value in manifest.dataset.items())
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    return f"""# A family of {task.kind}

One network was trained once with ofar_tf; each file is a part of it: fewer channels, a smaller image, or both.

- Data: {dataset}
- Seed: {"none" if manifest.seed is None else manifest.seed}
- Made with: {versions}
- Commit: {manifest.git or "unknown"}
- Written: {manifest.created}

"""


def _splits(manifest: Manifest) -> str:
    """Says on which images files are chosen, and what their figures are worth."""
    name = "accuracy" if manifest.metric.counts_images else manifest.metric.title
    images = next((model.metrics.images for model in manifest.models if model.metrics), 0)
    chosen_by = next((model.selection for model in manifest.models if model.selection), None)
    if not images:
        return "No file could be measured.\n\n"
    if chosen_by:
        return (
            f"Files are chosen (the front, `select`) by their {name} on {chosen_by.images} images of the selection "
            f"split; the {name} that is shown is that on {images} others, of the evaluation split.\n\n"
        )
    return (
        f"Files are chosen (the front, `select`) by their {name} on the same {images} images whose {name} is "
        "shown: there is no selection split. So the figure of the file that was chosen for it is a little too "
        "good.\n\n"
    )


def _choice(manifest: Manifest) -> str:
    """Lists, for each variant, the files of its front by rising cost: the most accurate file for each budget."""
    lines = ["## Which file to ship", ""]
    for variant, precision in {model.variant: model.quantization for model in manifest.models}.items():
        front = sorted((model for model in manifest.models if model.variant == variant and model.pareto), key=_cost)
        lines += [f"{variant} ({PRECISIONS[precision].summary if precision in PRECISIONS else precision}):", ""]
        lines += [
            f"- from {format_quantity(model.macs)} MACs on: `{model.path}` ({_reached(model)})" for model in front
        ] or ["- none passed its checks"]
        lines.append("")
    return "\n".join(
        [
            *lines,
            *_NOISE[manifest.metric.counts_images],
            "`ofar select --export_dir=. --max_macs=120M`.",
            "",
            "",
        ]
    )


def _reached(model: ModelEntry) -> str:
    if not model.metrics:
        return "not measured"
    interval = model.metrics.interval
    ends = ", {:.1f} to {:.1f}".format(*(100 * end for end in interval)) if interval else ""
    return f"{model.metrics.text} {model.metrics.metric.column}{ends}"


def _cost(model: ModelEntry) -> tuple[int, int]:
    return model.macs, model.bytes


def _files(manifest: Manifest) -> str:
    return "\n".join(["## Files", "", *_table(manifest, CARD), "", ""])


def _table(manifest: Manifest, document: str) -> Iterator[str]:
    columns = columns_of(manifest, document)
    yield f"| {' | '.join(column.title for column in columns)} |"
    yield f"|{'|'.join('---:' if column.numeric else '---' for column in columns)}|"
    for model in manifest.models:
        cells = (column.text(model).replace("|", "/") or "-" for column in columns)
        yield f"| {' | '.join(cells)} |"


def _speed(manifest: Manifest) -> str:
    lines = [
        "## Speed",
        "",
        "Latency of one image: the median; behind it the least and the largest median of a round, where all files",
        "were timed in rounds; in brackets what nine runs of ten stay below. ≈ marks files whose rounds overlap with",
        "those of another: which of the two is faster was not shown. No device's number holds for another.",
        "The last column is what the GPU delegate of LiteRT refuses by its public list; nothing was run on a GPU.",
        "",
        *_table(manifest, SPEED),
        "",
        "To measure on a phone that `adb` sees, and bring the figures here:",
        "",
        "```",
        f"curl -LO {BINARY}",
        f"sh {SCRIPT} benchmark_model > phone.csv",
        "ofar export --run_dir=RUN --import_latency=phone.csv",
        "```",
        "",
        "",
    ]
    return "\n".join(lines)


def _float32(metric: Metric) -> str:
    what = "probability" if metric.counts_images else "output"
    return f"- as float32, no {what} differs from Keras by more than {FLOAT32_TOLERANCE:g};"


def _rounded(metric: Metric) -> str:
    if not metric.counts_images:
        return f"""\
- in any other precision, its {metric.title} is not more than {metric.margin:g} worse than that of its `.keras` file on
  the same images."""
    return f"""\
- in any other precision, its {metric.title} is not shown to be more than {metric.margin:g} below that of its `.keras`
  file. Both are asked about the same images; a file fails if the drop is beyond the limit with 95 % (Tango's interval
  of the paired difference, and McNemar's exact test). Where the images are too few to tell, it passes, and its row says
  so."""


def _checking(manifest: Manifest) -> str:
    images = next((model.metrics.images for model in manifest.models if model.metrics), 0)
    return f"""## How they were checked

Each file was run through LiteRT on the {images} images of the evaluation split; the table shows what the file itself
reached. A file passes if its scores are finite, it has builtin operators only, no variables, static shapes and batch 1,
and

{_float32(manifest.metric)}
{_rounded(manifest.metric)}

What each file says of each image is in `.predictions.npz` beside it. `manifest.json` holds the SHA-256, the operators
and the findings of each file. Do not ship one that failed.
"""
