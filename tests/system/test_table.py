"""A table of results prints aligned columns, and has the exact values in CSV."""

from bcclone.system.table import Table, TableColumn

TABLE = Table(
    (
        TableColumn("driver"),
        TableColumn("share", "{:.1f} %".format, "autonomy"),
        TableColumn("frames", "{:,}".format),
    ),
    [("the human", 100.0, 12_345), ("zero", None, 7)],
)


def test_texts_are_printed_to_the_left_and_numbers_to_the_right():
    assert str(TABLE).splitlines() == [
        "driver     autonomy  frames",
        "the human   100.0 %  12,345",
        "zero              -       7",
    ]
    assert TABLE.cells()[0] == ["driver", "autonomy", "frames"]


def test_csv_has_the_keys_and_the_exact_values():
    assert TABLE.csv() == "driver,share,frames\nthe human,100.0,12345\nzero,,7\n"
    assert Table((TableColumn("name"),), [('a, "b"',)]).csv() == 'name\n"a, ""b"""\n'


def test_a_newline_in_a_cell_does_not_break_the_table():
    table = Table((TableColumn("name"), TableColumn("rows")), [("a\nb\x1b", 1)])
    assert str(table).splitlines()[1:] == [r"a\nb\x1b     1"]
