"""A table -> the times of its rows: which of its columns hold them, alone or together.

They are in one column with a usual name; in columns with parts of a time, such as hours, minutes
and seconds, a date and a clock, or seconds and milliseconds; or in the names of the images. Several
columns whose times are not alike are asked about, and so are parts of a time that lack one.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.inquiry import Inquiry
from bcclone.exchange.plain_names import plain
from bcclone.exchange.questions import Missing
from bcclone.exchange.table import SourceTable
from bcclone.exchange.times import Times, counted, times_of, times_of_images
from bcclone.recording import written_times
from bcclone.recording.time_forms import (
    CENTISECONDS,
    DAY_MS,
    DECISECONDS,
    HOUR_MS,
    HOURS,
    MINUTES,
    MS,
    NS,
    PER_MS,
    SECONDS,
    TIME_UNITS,
    US,
)
from bcclone.recording.written_times import (
    ENOUGH,
    are_alike,
    are_newest_first,
    counted_on,
    usual_step,
)
from bcclone.system.errors import UserError

_NAMED = "|".join(name for name, unit in TIME_UNITS.items() if unit in (SECONDS, MS, US, NS))
_USUAL = re.compile(  # usual plain names of a column of times
    "(?:(?:frame|image|cam|camera|elapsed|unix|ros|sim|record|capture|log|sys|system|sensor|header|"
    "gps|gnss|utc)_)?(?:time_?stamp|date_?time|time|stamp|ts|t|date|clock)"
    f"(?:_(?:{'|'.join(TIME_UNITS)}|utc|local|unix|iso))?|"
    f"(?:{_NAMED})(?:_of_(?:the_)?(?:minute|hour|day|week))?|"
    f"time_of_(?:the_)?(?:minute|hour|day|week)_(?:{'|'.join(TIME_UNITS)})"
)
# parts of a time in columns of their own, such as tv_sec and tv_usec, or hour, minute and second
_MINUTES_OR_METRES = "minutes or metres"
_PARTS = {
    **TIME_UNITS, "secs": SECONDS, "nsecs": NS, "nanosecs": NS, "hh": HOURS, "ss": SECONDS,
    "mmm": MS, "m": _MINUTES_OR_METRES, "mm": _MINUTES_OR_METRES,
}  # fmt: skip
_OF_PARTS = re.compile("|(?:.*_)?(?:time_?stamp|date_?time|time|stamp|tv|clock|utc|gps|header|ts?)")
_OF_A_SECOND = {DECISECONDS: 10, CENTISECONDS: 100, MS: 1e3, US: 1e6, NS: 1e9}
_LARGEST_PART = {HOURS: 24, MINUTES: 60, **_OF_A_SECOND}  # no part is as large
_HOURS_AND_MINUTES = re.compile(r"\d\d?:\d\d")

# columns, and the times in them or what has to be stated of these
_Found = tuple[Sequence[str], Times | Missing]


def read_times(
    table: SourceTable, settings: ImportSettings, inquiry: Inquiry, stems: Sequence[str] = ()
) -> Times | None:
    """Return the times of a table's rows; None if nothing states them, or not clearly, which is
    asked for in the second case.

    They are those of --time-column; counted with --frame-rate; in columns with usual names; or in
    the names of the images, which are `stems` without ending.

    Raises UserError for a --time-form by which they are not read.
    """
    if settings.frame_rate:
        return counted(range(len(table.lines)), settings.frame_rate)
    found = _candidates(table, settings.time_form)
    if settings.time_column:
        asked = table.find(settings.time_column)
        if not asked:
            facts = {"asked": settings.time_column, "columns": table.held()}
            inquiry.ask([Missing("no such column", "time_column", "TIMES", facts)])
            return None
        found = [each for each in found if asked in each[0]]
        found = found or [([asked], times_of(table.columns[asked], asked, settings.time_form))]
    elif questions := _ask_of_several(table, found):
        inquiry.ask(questions)
        return None
    read = [each for _, each in found] if found else [times_of_images(stems, settings.time_form)]
    times = [each for each in read if isinstance(each, Times)]
    missing = [each for each in read if isinstance(each, Missing)]
    if times:
        chosen = next(filter(_pass, times), times[0])
        if settings.time_form and not chosen.uses_form:
            raise UserError(
                f"{table.path}: --time-form {settings.time_form} states nothing of the times, "
                f"which are read from {chosen.words.removeprefix('times: ')}; leave it out, or "
                "name another column with --time-column",
                exit_code=2,
            )
        inquiry.note("times", chosen.words.removeprefix("times: "))
        return chosen
    if missing:
        inquiry.ask([next((one for one in missing if one.kind != "no times"), missing[0])])
    return None


def _pass(times: Times) -> bool:
    return usual_step(times.milliseconds.tolist()) > 0


def _candidates(table: SourceTable, form: str | None) -> list[_Found]:
    """Return what may be the times of a table, by the names of its columns."""
    found = list(_of_parts(table, form))
    used = {name for names, _ in found for name in names}
    for name in table.columns:
        if name not in used and _USUAL.fullmatch(plain(name)):
            found.append(_of_column(table, name, form))
    for place, (names, times) in enumerate(found):
        part = _part_of_a_second(table, names, times) if isinstance(times, Times) else None
        if part:
            found[place] = part
            found = [each for each in found if each is part or not set(each[0]) <= set(part[0])]
            break
    return found


def _ask_of_several(table: SourceTable, found: Sequence[_Found]) -> list[Missing]:
    """Return the questions for several columns of times that are not alike; [] for others.

    Columns in which no time passes, such as that of a session, do not count.
    """
    times = [(names[0], each) for names, each in found if isinstance(each, Times) and _pass(each)]
    unclear = [names[0] for names, each in found if _is_unclear(each)]
    if not times:
        return []
    first = times[0][1].milliseconds.tolist()
    others = [name for name, each in times[1:] if not are_alike(first, each.milliseconds.tolist())]
    unclear = [name for name in unclear if not _is_alike_in_a_unit(table.columns[name], first)]
    if not others and not unclear:
        return []
    facts = {"columns": table.held([times[0][0], *others, *unclear])}
    questions = [Missing("several times", "time_column", "TIMES", facts)]
    if unclear:
        facts = {"columns": table.held(unclear)}
        questions.append(Missing("form perhaps", "time_form", facts=facts, is_optional=True))
    return questions


def _is_unclear(found: Times | Missing | None) -> bool:
    """Return whether a column rises as times, or has dates, but does not say how they are read."""
    if not isinstance(found, Missing):
        return False
    return found.kind == written_times.ORDER or found.facts.get("rises", False)


def _is_alike_in_a_unit(cells: Sequence[object], first: Sequence[float]) -> bool:
    readings = [times_of(cells, "", unit) for unit in PER_MS]
    return any(
        isinstance(each, Times) and are_alike(first, each.milliseconds.tolist())
        for each in readings
    )


# ---- times in several columns


def _of_column(table: SourceTable, name: str, form: str | None) -> _Found:
    """Return what is read of a column of times, with that of dates beside it."""
    cells = table.columns[name]
    alone = times_of(cells, name, form)
    dates, names = _dates(table, plain(name).removesuffix("time"))
    if "_of_day" in plain(name) and isinstance(alone, Times):
        cells = [_clock(each) for each in alone.milliseconds.tolist()]
    elif not re.fullmatch("(?:.*_)?time", plain(name)):
        return [name], alone
    return _with_date(dates, names, cells, ([name], alone), form)


def _of_parts(table: SourceTable, form: str | None) -> Iterator[_Found]:
    """Yield the times in columns that are called alike but for their units, each of which holds
    what is less than one of the next larger unit.
    """
    alike: dict[str, dict[str, str]] = {}  # what stands before the unit -> unit -> column
    for name in table.columns:
        before, _, unit = plain(name).rpartition("_")
        if unit in _PARTS and _OF_PARTS.fullmatch(before):
            alike.setdefault(before, {}).setdefault(_PARTS[unit], name)
    for columns in alike.values():
        doubtful = columns.pop(_MINUTES_OR_METRES, "")
        if SECONDS not in columns:
            continue
        if doubtful and MINUTES not in columns and _are_counts(table, doubtful, 60):
            if HOURS not in columns and not plain(doubtful).endswith("mm"):
                facts = {"column": doubtful, "seconds": columns[SECONDS]}
                yield [doubtful, columns[SECONDS]], Missing("minutes or metres", facts=facts)
                continue
            columns[MINUTES] = doubtful
        yield from _joined(table, columns, form)


def _joined(table: SourceTable, columns: dict[str, str], form: str | None) -> Iterator[_Found]:
    """Yield the times in columns, unit -> name, with seconds among them, if they are parts."""
    units = [unit for unit in (HOURS, MINUTES, SECONDS, *_OF_A_SECOND) if unit in columns]
    names = [columns[unit] for unit in units]
    if HOURS not in units and MINUTES not in units:
        yield from _with_hours_and_minutes(table, columns[SECONDS], form)
    if len(units) < 2:
        return
    if any(np.any(table.numbers(name) % 1 > 0) for name in names[:-1]):
        return  # the same time in several units
    limits = {**_LARGEST_PART, **({SECONDS: 61} if units[0] != SECONDS else {})}
    fits = all(
        np.nanmax(table.numbers(columns[unit]), initial=0.0) < limits.get(unit, np.inf)
        for unit in units
    )
    is_gap = HOURS in units and MINUTES not in units
    if is_gap or (not fits and units[0] != SECONDS):
        yield names, Missing("parts of a time", facts={"columns": table.held(names)})
        return
    milliseconds = np.sum([table.numbers(columns[unit]) / PER_MS[unit] for unit in units], axis=0)
    if not fits or np.isfinite(milliseconds).mean() < ENOUGH:
        return
    turns_ms = {HOURS: [DAY_MS, DAY_MS / 2], MINUTES: [HOUR_MS]}.get(units[0], [])
    raised, turn = counted_on(milliseconds.tolist(), turns_ms)
    times = Times(np.round(raised), f"times: {', '.join(names)}{turn}", names[0], names[1:])
    if units[0] != HOURS:
        yield names, times
        return
    dates, of_dates = _dates(table, plain(names[0]).rpartition("_")[0])
    clocks = [_clock(each) for each in milliseconds.tolist()]
    yield _with_date(dates, of_dates, clocks, (names, times), form)


def _are_counts(table: SourceTable, name: str, below: float) -> bool:
    """Return whether a column has whole numbers from 0 to below this one."""
    numbers = table.numbers(name)
    known = numbers[np.isfinite(numbers)]
    return (
        bool(len(known))
        and not (known % 1).any()
        and bool((known >= 0).all())
        and (bool((known < below).all()))
    )


def _with_hours_and_minutes(table: SourceTable, seconds: str, form: str | None) -> Iterator[_Found]:
    """Yield the times of a column of hours and minutes, such as 10:59, and one of seconds."""
    for name, cells in table.columns.items():
        if _USUAL.fullmatch(plain(name)) and all(map(_HOURS_AND_MINUTES.fullmatch, cells)):
            both = zip(cells, table.columns[seconds], strict=True)
            joined = [f"{clock}:{second}" for clock, second in both]
            times = times_of(joined, name, form)
            if isinstance(times, Times):
                times = replace(times, words=f"times: {name}, {seconds}", columns=[seconds])
                yield [name, seconds], times


def _part_of_a_second(table: SourceTable, names: Sequence[str], times: Times) -> _Found | None:
    """Return whole seconds together with the column that has their milliseconds, or smaller parts,
    which begin anew with each second; None if there is none.
    """
    if (times.milliseconds % 1000 > 0).any():
        return None
    for name in table.columns:
        before, _, called = plain(name).rpartition("_")
        unit = _PARTS.get(called, "")
        is_part = unit in _OF_A_SECOND and _OF_PARTS.fullmatch(before) and name not in names
        if not is_part or not _are_counts(table, name, _LARGEST_PART[unit]):
            continue
        parts = table.numbers(name)
        later = -1 if are_newest_first(times.milliseconds.tolist()) else 1
        begins = later * np.diff(parts) < 0
        if begins.any() and not (begins & (np.diff(times.milliseconds) == 0)).any():
            milliseconds = np.round(times.milliseconds + parts / PER_MS[unit])
            words = f"{times.words}, and {name}"
            columns = [*times.columns, name]
            both = replace(times, milliseconds=milliseconds, words=words, columns=columns)
            return [*names, name], both
    return None


def _dates(table: SourceTable, before: str) -> tuple[Sequence[str], Sequence[str]]:
    """Return the date of each row, and the columns that have it; [] for none.

    before: what stands before the word time, or the unit, in the name of the clock's column, such
        as utc_
    """
    by_name = {plain(name): name for name in table.columns}
    named = filter(None, map(by_name.get, (f"{before}date", f"{before}_date", "date")))
    if name := next(named, ""):
        return table.columns[name], [name]
    names = [by_name[each] for each in ("year", "month", "day") if each in by_name]
    if len(names) < 3 or not all(_are_counts(table, name, 10_000) for name in names):
        return [], []
    numbers = zip(*(table.numbers(name).tolist() for name in names), strict=True)
    return ["-".join(f"{number:02.0f}" for number in date) for date in numbers], names


def _with_date(
    dates: Sequence[str],
    of_dates: Sequence[str],
    clocks: Sequence[str],
    alone: _Found,
    form: str | None,
) -> _Found:
    """Return the times of dates and clocks; those of the clocks alone where there are no dates, or
    one that does not say in which order it is written.
    """
    if not dates:
        return alone
    names = [*alone[0], *of_dates]
    both = times_of(
        [f"{date} {clock}" for date, clock in zip(dates, clocks, strict=True)], alone[0][0], form
    )
    if isinstance(both, Times):
        words = f"times: {', '.join(names)}, as {both.words.rpartition(', as ')[2]}"
        return names, replace(both, words=words, column=names[0], columns=names[1:])
    is_clear = both.kind != written_times.ORDER or len(set(dates)) == 1
    return alone if is_clear else (names, both)


def _clock(milliseconds: float) -> str:
    """Return the clock of milliseconds since midnight, "" for NaN."""
    if not np.isfinite(milliseconds):
        return ""
    seconds, ms = divmod(round(milliseconds) % round(DAY_MS), 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ms:03}"


# ---- no times


def no_times(table: SourceTable | None = None, others: Collection[str] = ()) -> list[Missing]:
    """Return the questions for rows without times.

    table: whose columns may be the time; None for none
    others: columns of it that are something else
    """
    columns = table.columns if table else {}
    found = {name: times_of(columns[name], name) for name in columns if name not in others}
    unclear = [name for name, each in found.items() if _may_be_time(each, of_unit=True)]
    listed = [name for name, each in found.items() if name in unclear or _may_be_time(each)]
    if not table or not listed:
        return [Missing("times", "frame_rate", "HZ")]
    facts = {"columns": table.held(listed)}
    questions = [Missing("times of columns", "time_column", "TIMES", facts)]
    if unclear:
        facts = {"columns": table.held(unclear)}
        questions.append(Missing("form perhaps", "time_form", facts=facts, is_optional=True))
    return questions


def _may_be_time(found: Times | Missing, of_unit: bool = False) -> bool:
    """Return whether what was read of a column may be times: dates and clocks, or what rises.

    of_unit: whether only those count whose unit, or order in a date, has to be stated
    """
    if isinstance(found, Missing):
        return _is_unclear(found) or (found.kind == "begins anew" and not of_unit)
    steps = np.diff(found.milliseconds)
    rises = bool(len(steps) and (steps >= 0).all())
    return not of_unit and bool(steps.any()) and (rises or found.is_written)
