"""What a source states or lacks, as values -> the words for people.

_WORDS is the one place where questions are worded, by the kinds of Missing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bcclone.system.errors import shown

SIDE = "SIDE"  # the blank for --left-positive or --no-left-positive, which have no value
_LONGEST_TEXT = 200  # characters of a text of the source in a message
MOST_LISTED = 20  # columns, tables or files that a question lists


@dataclass(frozen=True)
class Reading:
    """What was read of a source."""

    what: str  # such as "steering"
    source: str  # such as "column 'angle'"
    facts: Mapping[str, Any] = field(default_factory=dict)  # such as {"least": -0.5}


@dataclass(frozen=True)
class Missing:
    """What a source does not state."""

    kind: str  # of the question, a key of _WORDS
    # name of the setting that states it; "" if the source has to be changed
    setting: str = ""
    blank: str = ""  # stands for the value in the command; "" for none
    facts: Mapping[str, Any] = field(default_factory=dict)  # for the words of the question
    is_optional: bool = False  # whether the import goes on without an answer
    withdrawn: Collection[str] = ()  # names of given settings that the source contradicts


def reading_in_words(one: Reading) -> str:
    facts = dict(one.facts)
    words = []
    if "least" in facts:
        words.append(_range(facts))
        for name in ("least", "greatest", "most_frequent", "share", "different"):
            facts.pop(name, None)
    words += [f"{name.replace('_', ' ')} {_shown(value)}" for name, value in facts.items() if value]
    return f"{one.what}: {', '.join([one.source, *words])}"


def _range(facts: Mapping[str, Any]) -> str:
    return (
        f"least {_number(facts['least'])}, greatest {_number(facts['greatest'])}, most frequent "
        f"{_number(facts['most_frequent'])} (in {_percent(facts['share'])} of the rows), "
        f"{facts['different']} different values"
    )


def _number(value: float) -> str:
    return f"{value:.15g}" if abs(value) >= 1e5 else f"{value:g}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "less than 1%"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{_shown(name)} ({_shown(of)})" for name, of in value.items())
    if isinstance(value, Sequence):
        return ", ".join(map(_shown, value[:MOST_LISTED]))
    return _number(value) if isinstance(value, float) else str(value)


def quoted(texts: Sequence[str]) -> str:
    """Return texts of a source in quotes, for messages; of long ones, the beginnings."""
    return ", ".join(repr(text[:_LONGEST_TEXT]) for text in texts[:MOST_LISTED])


def _columns(facts: Mapping[str, Any]) -> str:
    """Return the columns of a question in words, with what they hold."""
    listed = []
    for name, held in list(facts["columns"].items())[:MOST_LISTED]:
        words = _range(held) if isinstance(held, Mapping) else ", ".join(map(str, held))
        name, words = (repr(text[:_LONGEST_TEXT])[1:-1] for text in (name, words))
        listed.append(f"{name} ({words})")
    return "; ".join(listed)


def _tables(facts: Mapping[str, Any]) -> str:
    lines = []
    for choice in facts["tables"]:
        if reason := choice.get("reason"):
            lines.append(f"\n    {choice['table']} cannot be it: {reason}")
            continue
        lines.append(f"\n    {choice['command']}")
        lines += [
            f"\n      {one['option']}: {one['question']}" for one in choice.get("missing", ())
        ]
    return "".join(lines)


_WORDS: Mapping[str, str] = {
    # which table, and which of its columns
    "table": ("which table has the steering?{tables}"),
    "no such table": "none of the tables has what an import needs:{tables}",
    "new table": "the one with the steering of each picture that you write",
    "no table": (
        "no table ({endings}) with the steering lies beside the pictures of {folder}; name "
        "one, or estimate the steering from how the camera moves: {from_motion}"
    ),
    "tables above": (
        "no table ({endings}) with the steering lies in {folder}; above it lies "
        "{tables_above}: name one, or estimate the steering: {from_motion}"
    ),
    "data": (
        "files beside the pictures are not read, {count} such as {files}; unpack archives, and "
        "write a table of the others with the picture and the steering of each row, as "
        "pandas.read_json(FILE).to_csv('log.csv') does of JSON; docs/how-to/exchange.md (Tables, "
        "and Arrays of another program) has others"
    ),
    "classes as folders": (
        "its folders {folders} are called as classes of pictures, which hold no angle; write a"
        " table with a row for each picture, in the order of time, and its steering"
    ),
    "decimal comma": ("line {line} has decimal commas between commas: {cells}"),
    "no such column": ("there is no column {asked}; there are: {columns}"),
    # the steering
    "long table": (
        "column {column} names signals, such as {signal}, of which each row has one; write a table "
        "with a column for each signal, with pandas: table = table.pivot(index={index}, "
        "columns={column}, values={value}).reset_index()"
    ),
    "several steerings": ("several columns may be the steering: {columns}"),
    "no steering": ("no column is called steering, or alike; there are: {columns}"),
    "rates": (
        "these are called as the speed or the torque of a steering, which is no steering: "
        "{columns}; name or write a column with the steering, or rename one if it is the steering"
    ),
    "no steering at all": (
        "no column holds numbers, as a steering does: {columns}; of classes such as left and "
        "right, write a table with a column steering, which has -0.5 or 0.5 and the like for each; "
        "cells that hold several values need one mark between all of them"
    ),
    "cells": (
        "column {column} has {others} cells of {rows} that hold no numbers, such as {cell} at "
        "{place}; write numbers such as -12.5, and nan for none, or name another column with "
        "--steering-column"
    ),
    "cells: sides": (
        "column {column} has the side behind its numbers, such as {cell} at {place}; write those "
        "to one side as minus, with pandas: table[{column}] = "
        "[float(cell.removesuffix({first}).removesuffix({other})) * "
        "(-1 if cell.endswith({first}) else 1) for cell in table[{column}].str.strip()]; state "
        "--left-positive if {first} is the right"
    ),
    "cells: thousands": (
        "column {column} may be read in two ways: its marks, such as that of {cell} at {place}, "
        "are decimal, or stand between thousands; read the table with "
        "pandas.read_csv(..., dtype=str); of thousands, write "
        "table[{column}] = table[{column}].str.replace('[.,]', '', regex=True); "
        "of decimals, write table[{column}] = "
        "table[{column}].str.replace(',', '.').astype(float).map('{{:.4f}}'.format)"
    ),
    "cells: hexadecimal": (
        "column {column} has {others} cells of {rows} that are no numbers, but look hexadecimal, "
        "such as {cell} at {place}; write 0x before all of them, or read the table with "
        "pandas.read_csv(..., dtype=str) and write table[{column}] = [int(cell, 16) for cell in "
        "table[{column}]]"
    ),
    "missing values": (
        "column {column} has {far} in {count} of {rows} rows, far beyond all others, which are "
        "{least:.10g} to {greatest:.10g}, as for a missing value; write nan there, with pandas: "
        "table[{column}] = table[{column}].mask(table[{column}].isin({list}))"
    ),
    "cells as text": (
        "other programs read column {column} as text: write plain numbers first, such as {number} "
        "for {cell} at {place}"
    ),
    "hexadecimal as text": (
        "other programs read column {column} as text, such as {cell} at {place}; write numbers "
        "first, with "
        "pandas: table[{column}] = [int(cell, 16) for cell in table[{column}]]"
    ),
    "a steering for each side": (
        "{left} and {right} hold the steering to each side, and no column has both; write one with "
        "pandas, in which left is minus: table[{steering}] = abs(table[{right}]) - "
        "abs(table[{left}]); or name another column with --steering-column, if that is it"
    ),
    "wheels": (
        "{left} and {right} are of two wheels, and no column is the steering; write one into "
        "the table, such as the difference of both over twice the greatest: positive is right"
    ),
    "unit": ("the unit of the steering: rad, deg, or ratio for -1 to 1; nothing states it"),
    "unit of a full steering": (
        "--max-degrees {full:.10g} is stated, but the steering is read as -1 to 1: state its unit, "
        "rad, deg or ratio; or leave out --max-degrees"
    ),
    "unit beyond": (
        "{beyond} of {rows} values are beyond -1 to 1, as which it is read: rad, deg, or ratio"
        " for the share of --max-degrees"
    ),
    "unit of a multiple": (
        "the unit of which the numbers of column {column} are a multiple, or a part, that its name "
        "does not say clearly: rad, deg or ratio"
    ),
    "unit in the table": (
        "the unit of the steering: rad, deg, or ratio for -1 to 1; the table says {texts}"
    ),
    "side": ("add it if a positive steering is to the left"),
    "side in the table": (
        "to which side is a positive steering? The table says {texts}: for "
        + SIDE
        + ", write --left-positive or --no-left-positive"
    ),
    "middle": (
        "the steering is never, or hardly, to one side: which value is straight ahead, 0 or "
        "another?"
    ),
    "middle in the table": ("which value is straight ahead, 0 or another? The table says {texts}"),
    "middle of a ratio": (
        "--max-degrees {full:.10g} is stated, but the steering is read as -1 to 1; which value is "
        "straight ahead, from which full steering is {full:.10g} away? Or leave out --max-degrees"
    ),
    "full": (
        "by how much full steering differs from straight ahead: of an angle in degrees of the "
        "front wheels (25), or 25 times the steering ratio for a steering wheel (about 375); "
        "100 of percent; 1 of -1 to 1"
    ),
    "full of a multiple": (
        "how much full steering is, 25 degrees of the front wheels or about 375 of a steering "
        "wheel, times how many of the numbers of column {column} are one of its unit: 250 of "
        "tenths of a degree"
    ),
    "full of a wheel": (
        "full steering is 25 degrees of the front wheels; for a steering wheel, it is 25 times"
        " the steering ratio, about 375"
    ),
    "full of a steering wheel": (
        "full steering of a steering wheel, of which {texts} speaks: 25 times the steering ratio, "
        "about 375 degrees; 25 of the front wheels; 1 of -1 to 1"
    ),
    "full in the table": (
        "how much full steering is in these numbers, of which the table says {texts}: 25 degrees "
        "of the front wheels, about 375 of a steering wheel, or 1 of -1 to 1, times what they are "
        "multiplied by: 250 of tenths of a degree"
    ),
    "full beyond": (
        "{beyond} of {rows} values are beyond full steering, which is {full:.10g}: by how much it "
        "differs from straight ahead, such as 375 degrees of a steering wheel, or 100 of "
        "percent"
    ),
    "classes": (
        "the steering has whole numbers that count up, as those of classes, expected angles; "
        "write a table with a column steering in its place, which has the steering of each class, "
        "such as -0.5, 0 and 0.5; if they are "
        "angles, name the column with their unit, such as steering_deg"
    ),
    "wrapped": (
        "the steering jumps from one end to the other, from {before:.10g} to {after:.10g}, as an "
        "angle without a sign that begins anew at {turn:.10g}: no value of --straight mends that; "
        "write those above the half as minus, with pandas: "
        "table.loc[table[{column}] > {half:.10g}, {column}] -= {turn:.10g}"
    ),
    "wrapped often": (
        "the steering jumps from one end to the other, from {before:.10g} to {after:.10g}, as an "
        "angle that begins anew at {turn:.10g}, and is turned further than the half of that: no "
        "value of --straight mends that; follow it from row to row, with pandas and NumPy: "
        "table[{column}] = numpy.unwrap(table[{column}], period={turn:.10g}), and take {turn:.10g} "
        "away if it is then not around 0 straight ahead"
    ),
    "wrapped somewhere": (
        "the steering jumps from one end to the other, from {before:.10g} to {after:.10g}, as an "
        "angle without a sign: no value of --straight mends that; write those above the half of "
        "its full turn less that turn, which the description of the signal states"
    ),
    "sign": (
        "column {sign} has the side of the steering, which has none: {values}; write one column "
        "that is negative to one side, with pandas: "
        "table.loc[{first_rows}, {column}] *= -1, and state "
        "--left-positive if that was the right; if it is another side, leave that column out of "
        "the table"
    ),
    "sign of most rows": (
        "column {sign} has the side of the steering, which has none: {values}, and {neither} in "
        "rows that are steered, too; write one column that is negative to one side, and nan where "
        "it is unknown, with pandas: "
        "table.loc[{first_rows}, {column}] *= -1; and "
        "table.loc[{neither_rows}, {column}] = float('nan'); "
        "state --left-positive if {first} is the right; if it is another side, leave that column "
        "out of the table"
    ),
    "sign perhaps": (
        "the steering is never, or hardly, to one side. If column {sign} says to which "
        "({values}), write one column that is negative to one side, with pandas: "
        "table.loc[{first_rows}, {column}] *= -1. If not, "
        "which value is straight ahead?"
    ),
    "flag": (
        "column {flag} has {values} beside a steering. If {first} says that the steering of a row "
        "is not to be used, write nan there, with pandas: table.loc[{first_rows}, {column}] = "
        "float('nan'); if it is another value, that one; if none, leave the column out of the table"
    ),
    "steering of a tub": (
        "the steering of {beyond} of {rows} records is beyond -1 to 1, as in degrees, percent "
        "or the pulses of a servo, and a tub has the fraction of full steering; make a table "
        "of image and steering, and import that with --unit deg, --max-degrees at full "
        "steering (100 of percent), and --straight for the value straight ahead"
    ),
    # the pictures
    "several images": ("several columns name images: {columns}"),
    "images": ("no column is called image, or alike; of these, it may be: {columns}"),
    "no images": (
        "no column names the pictures, and its {rows} rows are not one for each of the "
        "{pictures} pictures, as then row N would be of picture N; write a column with the "
        "name of each row's picture, such as {picture}"
    ),
    "images of several folders": (
        "no column names the pictures, and {pictures} are of several kinds: {folders}; write a "
        "column with the name of each row's picture, such as {picture}"
    ),
    "folder": "which folder has the pictures of the camera that looks forward? {folders}",
    "folder column": (
        "the pictures of column {column} are in several folders, and column {folder} names these: "
        "join both, such as {picture}; read the table with pandas.read_csv(..., dtype=str), and "
        "write table[{column}] = {joined}"
    ),
    "pictures in folders": (
        "{folders} have pictures, and those of one camera are to be read: move the folders with "
        "the other pictures, such as masks, out of the source"
    ),
    "names without endings": (
        "several pictures in {folders} have the same name but for the ending: write the names in "
        "the table with their endings"
    ),
    "no pictures": (
        "there is no picture in the folder ({endings}): write the pictures into it in one of these "
        "formats, or name their folder as the source and the table with --table"
    ),
    "numbers of images": (
        "column {column} counts {first} to {last}, and the names of the pictures {first_picture} "
        "to {last_picture}: name it if its numbers are those in the names; if it counts otherwise, "
        "leave it out of the table, and row N has picture N of as many"
    ),
    "numbers beside others": (
        "no column names the pictures, and column {column} has numbers that are in their names "
        "beside others, such as {picture}; write a column with the name of each row's picture"
    ),
    "numbers left out": (
        "no column names the pictures, and the numbers in their names leave some out, such as "
        "behind {picture}, where the times of the rows go on; write a column with the name of each "
        "row's picture"
    ),
    "numbers that begin anew": (
        "no column names the pictures, and the numbers in their names, such as {picture}, begin "
        "anew behind {last}: rename them so that their numbers rise in the order of time, or write "
        "a column with the name of each row's picture"
    ),
    "images at other times": (
        "no column names the pictures, and the times in their names are up to {seconds:g} s "
        "from those of the rows in their order; write a column with the name of each row's "
        "picture, such as {picture}"
    ),
    "falling times": (
        "no column names the pictures, and the times of its rows fall ({rows} times), so that "
        "these may not be in the order of the pictures: if they are, how many there are in a "
        "second; if not, write a column with the name of each row's picture, such as {picture}; of "
        "several drives, import each by itself"
    ),
    "cameras": (
        "column {column} has the pictures of several cameras: {values}; write a table with the"
        " rows of the one that looks forward, and name it with --table"
    ),
    "cameras or numbers": (
        "column {column} has pictures of several cameras, or numbers of those of each second: "
        "{values}; if one camera took them, state how many it took in a second, which is "
        "{rate}; if several, write a table with the rows of the one that looks forward, and name "
        "it with --table"
    ),
    "cameras at once": (
        "{rows} rows at a time are less than 8 ms apart, as the pictures of so many cameras: write "
        "a table with the rows of the one that looks forward, and name it with --table"
    ),
    "camera": ("which camera looks forward? There are: {cameras}"),
    # the times
    "times": (
        "nothing states when the rows were taken; how many there are in a second, such as 20"
    ),
    "times of a tub": (
        "{column} has times such as {first} and {second}, which are not the milliseconds of a "
        "camera's pictures; how many records there are in a second, such as 20"
    ),
    "times of columns": (
        "nothing states which column has the times; these have dates or clocks, or rise: "
        "{columns}; if none of them is the time, leave it out, and count the rows with "
        "--frame-rate"
    ),
    "several times": (
        "several columns have times that are not alike: which are those of the pictures? {columns}"
    ),
    "several times in names": (
        "{cell} of {column} has two times, which are not alike; write a column with the time of "
        "each row, or state how many rows there are in a second"
    ),
    "parts of a time": (
        "columns have parts of a time, but not each part from hours or minutes to seconds, as "
        "whole numbers below 24, 60 and 60: {columns}; write one column of them, such as "
        "10:59:07.250, called time, and leave these out"
    ),
    "minutes or metres": (
        "column {column} may have the minutes of {seconds}, or metres: call it minute, or "
        "distance_m"
    ),
    "begins anew": (
        "column {column} falls by nearly {seconds:g} s, as a clock that begins anew, or as where "
        "another drive begins: of a clock, write one that rises, with pandas: table[{column}] += "
        "{turn:.10g} * (table[{column}].diff() < 0).cumsum(); of drives, import the rows of each "
        "as a table of their own"
    ),
    "form perhaps": (
        "of numbers that are not seconds, or dates, if you name one of these: {columns}: s, ms, "
        "us, ns, min, h or d, or how many of it, such as 10ms; year-first, day-first or month-first"
    ),
    "no times": (
        "column {column} holds no times, such as {cell}; how many rows there are in a second, "
        "such as 20; or name another column with --time-column"
    ),
    "form of times": (
        "column {column} has numbers such as {cell}, {step:g} apart, and nothing states a unit in "
        "which they are of a camera: s, ms, us, ns, min, h or d, or how many of it, such as 10ms; "
        "if nobody knows, leave it out, and count the rows with --frame-rate"
    ),
    "unit of times": (
        "column {column} is called as {named}, but holds times since 1970 in {found}, such as "
        "{cell}; s, ms, us or ns, or how many of it, such as 10ms"
    ),
    "multiple of times": (
        "column {column} counts a multiple, or a part, of a unit that its name does not say "
        "clearly; state how many of which one, such as 10ms or 100ns; if nobody knows, leave it "
        "out, and count the rows with --frame-rate"
    ),
    "row numbers": (
        "column {column} counts up by 1, as the numbers of rows do: s if that is seconds (a "
        "picture a second); or leave it out, and count the rows with --frame-rate"
    ),
    "order of dates": ("{cell} of {column} may be read as a date in several ways: {orders}"),
    "part of a second": (
        "{cell} of {column} ends with {digits}, which is not clearly a part of a second; how "
        "many rows there are in a second, such as 20; or state --time-form ms, us or ns if that is "
        "what the digits count"
    ),
    "fast": (
        "{column}: most rows follow the one before within {step:g} ms, as of no camera; how many "
        "rows there are in a second, such as 20; or name the times with --time-column"
    ),
    "fov": (
        "how many degrees the camera sees from the left to the right edge, such as 69 for the "
        "main camera of a phone"
    ),
    # the frames of a film
    "film": (
        "its {rows} rows are not one for each of the {frames} frames of the film, in order of "
        "time; how many seconds the film begins later than the table, 0 if both begin together; or "
        "number the frames from 0 in a column frame_index"
    ),
    "film of rows": (
        "the table has no times, so that row N is of frame N; leave out --film-offset, or "
        "state how many rows there are in a second"
    ),
    "frame numbers": (
        "column {column} numbers the frames from {first:.10g}, expected each number once, from 0;"
        " if {first:.10g} is the film's first frame, write, with pandas: "
        "table[{column}] -= {first:.10g}"
    ),
}


def question_of(one: Missing) -> str:
    # the text itself says how many digits a number gets, such as {first:.10g}
    facts = {
        name: value if isinstance(value, float) else _shown(value)
        for name, value in one.facts.items()
    }
    if "from_motion" in one.facts:  # a command is shown as it is
        facts["from_motion"] = one.facts["from_motion"]
    if "columns" in one.facts:
        facts["columns"] = _columns(one.facts)
    if "texts" in one.facts:
        facts["texts"] = quoted(one.facts["texts"])
    if "tables" in one.facts:
        facts["tables"] = _tables(one.facts)
    for name in one.facts.keys() & {
        "place",
        "index",
        "list",
        "joined",
        "first_rows",
        "neither_rows",
    }:  # in full
        facts[name] = repr(one.facts[name])[1:-1]
    return _WORDS[one.kind].format(**facts)
