from rich.table import Table

from ofar_tf.text.tables import table_console, table_text


def test_no_number_of_a_wide_table_is_cut_off(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    numbers = [f"{number}.25%" for number in range(100, 120)]
    table = Table(*(f"AP of {number}" for number in numbers))
    table.add_row(*numbers)
    table_console(table).print(table)
    for text in (capsys.readouterr().out, table_text(table)):
        (row,) = [line for line in text.splitlines() if numbers[0] in line and "AP" not in line]
        assert all(number in row for number in numbers) and "…" not in text
