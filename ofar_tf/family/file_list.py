"""`files.csv` of an export folder: the manifest's numbers as a table, for spreadsheets."""

import csv
import io
from pathlib import Path

from ofar_tf.family.columns import CSV, columns_of
from ofar_tf.family.manifest import Manifest
from ofar_tf.files import atomic_file


def write_file_list(path: str | Path, manifest: Manifest) -> None:
    """Writes one row for each file, with two columns for each device and thread count that latency was measured on.

    Args:
        path: Where to, normally `files.csv` in the export folder.
        manifest: The files.
    """
    columns = columns_of(manifest, CSV)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in columns)
    writer.writerows([column.value(model) for column in columns] for model in manifest.models)
    atomic_file.write_text(path, text.getvalue())
