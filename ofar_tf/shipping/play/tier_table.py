"""The table that `ofar package` prints: which devices receive which files."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from ofar_tf.shipping.play.tier_files import TierFiles
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.tables import table_console


def print_tiers(chosen: Sequence[TierFiles], *, console: Console | None = None) -> None:
    """Prints one row for each file, the first of each tier and then those to step down to.

    Args:
        chosen: What each tier receives.
        console: Where to; standard output by default.
    """
    table = Table(caption="a device takes the first tier it fits; above budget_ms, measured there, the app steps down")
    for name in ("tier", "devices", "file"):
        table.add_column(name, no_wrap=name != "devices", max_width=40 if name == "devices" else None)
    for name in (chosen[0].metric.column, "MACs", "bytes", "budget_ms"):
        table.add_column(name, justify="right")
    for files in chosen:
        budget = "none" if files.tier.budget_ms is None else f"{files.tier.budget_ms:g}"
        for model in files.models:
            heads = (files.tier.name, files.tier.conditions) if model is files.models[0] else ("", "or, if slow")
            costs = (model.reached, format_quantity(model.macs), format_quantity(model.bytes), budget)
            table.add_row(*heads, model.path.split("/")[-1], *costs)
    (console or table_console(table)).print(table)
