"""Say what maps of margins show: tables, and a folder of the road as a strip, frames, figures and a
report.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from bcclone.camera.vehicle import MPH
from bcclone.pictures.plots.drive_pictures import plot_frames
from bcclone.pictures.plots.style import BLUE, GRAY, RED, new_figure, save, tidy
from bcclone.pictures.report import REPORT_NAME, Report, write_report
from bcclone.research.margin import MarginSettings
from bcclone.research.margin.answers import DrivenCheck
from bcclone.research.margin.margins import MarginMap
from bcclone.simulator.car import holding_throttle, nose_up, start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.world_settings import Conditions
from bcclone.system.atomic import write_text
from bcclone.system.errors import shown_command
from bcclone.system.json_values import json_text
from bcclone.system.settings import option_words
from bcclone.system.table import Table, TableColumn

_STRIP_INCHES, _WIDE_INCHES = 2.0, 12.0
_SMALL_M = 0.5  # a margin below this is drawn in red

Maps = Mapping[str, MarginMap]  # name of a model -> its map


def margin_table(maps: Maps, settings: MarginSettings) -> str:
    """Return a line for each model, its narrowest places, and what to record next, with a command
    for each place.
    """
    columns = (
        TableColumn("model", heading=""),
        TableColumn("comes back", "{:.1f} %".format),
        TableColumn("never leaves", "{:.1f} %".format),
        TableColumn("smallest margin", "{:.2f} m".format),
        TableColumn("mean margin", "{:.2f} m".format),
    )
    rows = [
        (name, one.share_percent, one.stays_percent, one.smallest_margin_m, one.mean_margin_m)
        for name, one in maps.items()
    ]
    lines = [
        str(Table(columns, rows)),
        "comes back: share of the states within 2 m and 10 degrees from which the car comes within 0.5 m of the middle",
        "and does not leave the road in the next 5 s; never leaves: share of all of them from which it stays on",
        "the road, perhaps beside the middle; margin: from how far it comes back that drives along the road",
    ]
    for name, one in maps.items():
        if one.narrowest:
            lines += [
                "",
                f"{name}, the narrowest places:",
                *(f"  {place.text}" for place in one.narrowest),
            ]
        else:
            lines += [
                "",
                f"{name} comes back from either edge, {one.limits_m.min():.2f} m from the middle or more",
            ]
        if one.check:
            lines += ["", f"{name}, {_describe_check(one.check)}"]
    for name, one in maps.items():
        nothing = "" if one.record_next else " nothing here, nearly every state comes back"
        lines += ["", f"{name}, what to record next:{nothing}"]
        for each in one.record_next:
            lines += [f"  {each.text}", f"    {each.command(settings.track, settings.reverse)}"]
    return "\n".join(lines)


def write_margins(
    folder: Path, maps: Maps, settings: MarginSettings, models: Sequence[Path]
) -> list[Path]:
    """Write a picture of all maps, frames of each model's narrowest places, the figures and a
    report into a folder.

    Return their paths, the report's last.
    """
    strip, figures = folder / "margins.png", folder / "figures.json"
    reverse = " reversed" if settings.reverse else ""
    plot_margins(maps, f"{settings.track}{reverse}, {settings.speed_mph:g} mph", strip)
    write_text(figures, json_text({name: one.figures() for name, one in maps.items()}, indent=2))
    way = f"the road {settings.track}{' in reverse' if settings.reverse else ''}"
    sentences = [
        f"The margin is how far to the side of the middle a car that drives along {way} at {settings.speed_mph:g} mph "
        "still comes back to within 0.5 m, without leaving the road in the next 5 s. The road is grey, the margin "
        f"blue; below {_SMALL_M:g} m it is red.",
    ]
    pictures = {
        "The road as a strip, and from how far to its left and right the car comes back": strip
    }
    table, commands = [("", "the narrowest places")], dict[str, str]()
    for number, (name, one) in enumerate(maps.items(), 1):
        model = f"{name}: " if len(maps) > 1 else ""
        sentences.append(f"{name}: {_describe(one)}.")
        sentences += [f"{name}: {_describe_check(one.check)}."] if one.check else []
        if not one.record_next:
            sentences.append(f"{name}: nothing to record next here, nearly every state comes back.")
        if one.narrowest:
            path = folder / f"narrowest-{number}.png"
            plot_frames(_frames(one, settings), path)
            pictures[f"{name}: the narrowest places, as a car sees them from its margin"] = path
        table += [
            (f"{model}{rank}", place.text.strip()) for rank, place in enumerate(one.narrowest, 1)
        ]
        for each in one.record_next:
            commands[f"{model}Record next: {each.text}"] = each.command(
                settings.track, settings.reverse
            )
    if not settings.check:
        kept = ("-o", settings.kept.parent, "--force") if settings.kept else ()
        words = (*models, *option_words(settings), "--check", "1000", *kept)
        commands["Check the map by driving"] = shown_command("margin", *words)
    title = f"Margins of the model{'s' * (len(maps) > 1)} {', '.join(maps)} on {way}"
    report = folder / REPORT_NAME
    write_report(
        report, Report(title, sentences, None, pictures, table if len(table) > 1 else (), commands)
    )
    return [figures, *pictures.values(), report]


def plot_margins(maps: Maps, title: str, path: Path) -> None:
    """Draw the road of each map as a strip into a PNG, one model below the other."""
    figure = new_figure(_WIDE_INCHES, 0.8 + _STRIP_INCHES * len(maps), title)
    rows = figure.subplots(len(maps), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (name, one) in zip(rows, maps.items(), strict=True):
        _draw_strip(axes, one)
        axes.set_title(f"{name}: {_describe(one)}", fontsize=9, loc="left")
        axes.set_ylabel("m to the right")
    rows[-1].set_xlabel("metres along the road")
    save(figure, path)


def _describe_check(check: DrivenCheck) -> str:
    return (
        f"{check.cars:,} cars driven from random states from which they should come back: {check.came_back:,} came "
        f"back, {len(check.left_the_road):,} left the road, {len(check.undecided):,} did neither in time"
    )


def _describe(one: MarginMap) -> str:
    return (
        f"{one.share_percent:.1f} % of the states within 2 m and 10 degrees come back, {one.stays_percent:.1f} % never "
        f"leave the road; the smallest margin is {one.smallest_margin_m:.2f} m"
    )


def _draw_strip(axes: Axes, one: MarginMap) -> None:
    """Draw the asphalt grey, the margins blue, those of less than half a metre red, and number the
    narrowest places.
    """
    along, limits, (left, right) = one.along_m, one.limits_m, one.returning.margins_m.T
    axes.fill_between(along, -limits, limits, color="0.88", step="mid")
    axes.fill_between(along, -left, right, color=BLUE, alpha=0.55, step="mid", linewidth=0)
    for side, margin in ((-1, left), (1, right)):
        narrow = margin < _SMALL_M
        axes.bar(along[narrow], side * limits[narrow], one.returning.grid.step_m, color=RED)
    axes.axhline(0, color=GRAY, linewidth=0.6)
    for number, place in enumerate(one.narrowest, 1):
        height = limits.max() * (-1.12 if place.side == "left" else 1.12)
        axes.text(place.along_m, height, str(number), ha="center", va="center", fontsize=8)
    axes.set_ylim(1.25 * limits.max(), -1.25 * limits.max())  # as the driver has it: left is up
    axes.margins(x=0)
    tidy(axes)


def _frames(one: MarginMap, settings: MarginSettings) -> list[tuple[str, np.ndarray]]:
    """Return a frame of each of the narrowest places, from its margin, with a title."""
    renderer, pitch = (
        Renderer(settings.track, Conditions()),
        nose_up(holding_throttle(settings.speed_mph * MPH)),
    )
    frames = []
    for number, place in enumerate(one.narrowest, 1):
        offset = place.margin_m * (-1 if place.side == "left" else 1)
        car = start_on(one.track, offset, one.track.start_m + place.along_m, rise=pitch)
        frames.append((f"{number}. {place.text.strip()}", renderer.frame(car)))
    return frames
