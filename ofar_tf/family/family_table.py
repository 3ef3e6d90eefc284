"""The last table a user sees: which files there are, what they cost and what they reach."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from ofar_tf.family.columns import SCREEN, columns_of
from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.tables import table_console


def print_family(manifest: Manifest, *, console: Console | None = None) -> None:
    """Prints one row for each network, with the accuracy and the size of its file in each precision.

    Args:
        manifest: The files, those of one network beside each other.
        console: Where to; standard output by default.
    """
    columns = columns_of(manifest, SCREEN)
    precisions = list(dict.fromkeys(entry.quantization for entry in manifest.models))
    metric = manifest.metric
    caption = f"{metric.column} of the Keras subnet and of each .tflite file itself; ! failed a check" + (
        ", ? too few images to tell" if metric.counts_images else ""
    )
    table = Table(caption=caption)
    for column in columns:
        table.add_column(column.title, justify="right" if column.numeric else "left", no_wrap=not column.numeric)
    for name in precisions:
        table.add_column(f"{name},{metric.unit} (bytes)" if metric.unit else f"{name} (bytes)", justify="right")
    for _, group in groupby(manifest.models, key=lambda entry: entry.id):
        files = list(group)
        # What the columns say is the same of all files of a network, but one that did not run knows no accuracy.
        first = next((file for file in files if file.metrics), files[0])
        cells = (column.text(first) or "-" for column in columns)
        table.add_row(*cells, *(_cell(files, precision) for precision in precisions))
    (console or table_console(table)).print(table)


def _cell(files: Sequence[ModelEntry], precision: str) -> str:
    file = next((file for file in files if file.quantization == precision and file.form is None), None)
    if file is None:
        return ""
    score = file.metrics.metric.text(file.metrics.best) if file.metrics else "-"
    mark = {"passed": "", "failed": " !", "cannot_tell": " ?"}[file.checks.verdict]
    return f"{score} ({format_quantity(file.bytes)}){mark}"
