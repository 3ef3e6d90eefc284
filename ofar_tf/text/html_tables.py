"""Tables for notebooks."""

from collections.abc import Sequence
from html import escape


def html_table(title: str, *, columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """Writes a table as HTML without scripts or styles of its own, which any notebook shows.

    Args:
        title: Stands above.
        columns: The titles of the columns.
        rows: A text for each column.
        caption: Stands below.

    Returns:
        One element.
    """
    head = _row(columns, tag="th")
    body = "".join(_row(row, tag="td") for row in rows)
    below = f"<p><small>{escape(caption)}</small></p>" if caption else ""
    return f"<div><p>{escape(title)}</p><table><thead>{head}</thead><tbody>{body}</tbody></table>{below}</div>"


def _row(cells: Sequence[str], *, tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
