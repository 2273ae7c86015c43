"""A table of results prints aligned columns, and is the same values in JSON and in CSV."""

import pytest

from bcclone.system.table import Table, TableColumn

TABLE = Table(
    (TableColumn("driver"), TableColumn("share", "{:.1f} %".format, "autonomy"), TableColumn("frames", "{:,}".format)),
    [("the human", 100.0, 12_345), ("zero", None, 7)],
)


def test_texts_are_printed_to_the_left_and_numbers_to_the_right():
    assert str(TABLE).splitlines() == [
        "driver     autonomy  frames",
        "the human   100.0 %  12,345",
        "zero              -       7",
    ]
    assert TABLE.cells()[0] == ["driver", "autonomy", "frames"]


def test_json_and_csv_have_the_keys_and_the_exact_values():
    assert TABLE.records() == [
        {"driver": "the human", "share": 100.0, "frames": 12_345},
        {"driver": "zero", "share": None, "frames": 7},
    ]
    assert TABLE.csv() == "driver,share,frames\nthe human,100.0,12345\nzero,,7\n"
    assert Table((TableColumn("name"),), [('a, "b"',)]).csv() == 'name\n"a, ""b"""\n'


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="expected a value for each"):
        Table((TableColumn("name"),), [("a", 1)])
