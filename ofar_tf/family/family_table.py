"""The last table a user sees: which files there are, what they cost and what they reach."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.tables import table_console


def print_family(manifest: Manifest, *, console: Console | None = None) -> None:
    """Prints one row for each network, with the accuracy and the size of its file in each precision.

    Args:
        manifest: The files, those of one network beside each other.
        console: Where to; standard output by default.
    """
    precisions = list(dict.fromkeys(entry.quantization for entry in manifest.models))
    table = Table(caption="top-1 of the Keras subnet and of each .tflite file itself; ! failed a check")
    table.add_column("id", no_wrap=True)
    for name in ("rate", "px", "MACs", "params", "Keras", *(f"{name} (bytes)" for name in precisions)):
        table.add_column(name, justify="right")
    for _, group in groupby(manifest.models, key=lambda entry: entry.id):
        files = list(group)
        first = files[0]
        keras_top1 = next((f"{file.metrics.keras_top1:.2%}" for file in files if file.metrics), "-")
        table.add_row(
            first.id,
            f"{first.rate:.1%}",
            str(first.resolution),
            format_quantity(first.macs),
            format_quantity(first.params),
            keras_top1,
            *(_cell(files, precision) for precision in precisions),
        )
    (console or table_console()).print(table)


def _cell(files: Sequence[ModelEntry], precision: str) -> str:
    file = next((file for file in files if file.quantization == precision), None)
    if file is None:
        return ""
    top1 = f"{file.top1:.2%}" if file.metrics else "-"
    return f"{top1} ({format_quantity(file.bytes)}){'' if file.checks.passed else ' !'}"
