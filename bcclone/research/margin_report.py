"""Say what maps of margins show: maps -> a table, or a folder with a report, pictures and figures.

Table and report also say where to record next, with the command that opens the simulator there.
"""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from bcclone.camera.images import Image
from bcclone.camera.vehicle import MPH
from bcclone.pictures.plots.drive_pictures import plot_frames
from bcclone.pictures.plots.style import BLUE, GRAY, RED, new_figure, save, tidy
from bcclone.pictures.report_page import REPORT_NAME, Section, write_report
from bcclone.research.margin_map import MarginMap, NarrowPlace
from bcclone.research.margin_settings import MarginSettings
from bcclone.simulator.car import holding_throttle, nose_up, start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.world_settings import Conditions
from bcclone.system.files import write_text
from bcclone.system.table import Table, TableColumn
from bcclone.system.values import json_text

if TYPE_CHECKING:  # bcclone.pictures.plots has to load matplotlib first: see there
    from matplotlib.axes import Axes

_SMALL_M = 0.5  # a margin below this is drawn in red

Maps = Mapping[str, MarginMap]  # name of a model -> its map


def margin_text(maps: Maps, settings: MarginSettings) -> str:
    """Return a table with a line for each model, then its narrowest places and what to record next.

    Each kind of place to record has the command that opens the simulator there.
    """
    columns = (
        TableColumn("model", heading=""),
        TableColumn("comes back", "{:.1f} %".format),
        TableColumn("never leaves", "{:.1f} %".format),
        TableColumn("smallest margin", "{:.2f} m".format),
        TableColumn("mean margin", "{:.2f} m".format),
    )
    rows = [
        (
            name,
            margins.comes_back_percent,
            margins.never_leaves_percent,
            margins.smallest_margin_m,
            margins.mean_margin_m,
        )
        for name, margins in maps.items()
    ]
    lines = [
        str(Table(columns, rows)),
        "comes back: share of the states within 2 m and 10 degrees from which the car comes within "
        "0.5 m of the middle and does not leave the road in the next 5 s; never leaves: share from "
        "which it stays on the road for ever; margin: from how far to the side a car that drives "
        "along the road comes back",
    ]
    for name, margins in maps.items():
        lines += ["", f"{name}, the narrowest places:"]
        lines += [f"  {place.text}" for place in margins.narrowest]
        if not margins.narrowest:
            lines.append("  none: it comes back from either edge")
        lines += ["", f"{name}, what to record next:"]
        for kind in margins.record_next:
            lines += [f"  {kind.text}", f"    {kind.command(settings.track, settings.reverse)}"]
        if not margins.record_next:
            lines.append(f"  {_NOTHING}")
    return "\n".join(lines)


_NOTHING = "nothing here, nearly every state comes back"


def write_margins(folder: Path, maps: Maps, settings: MarginSettings) -> list[Path]:
    """Write a picture of all maps, frames of narrow places, the figures and a report into a folder.

    Return their paths, the report's last.
    """
    way = settings.track
    if settings.reverse:
        way = f"{settings.track} in reverse"
    strip = folder / "margins.png"
    plot_margins(maps, f"{way}, {settings.speed_mph:g} mph", strip)
    figures = folder / "figures.json"
    values = {name: margins.figures() for name, margins in maps.items()}
    write_text(figures, json_text(values, indent=2))

    # the report begins with what a margin is; then come the sentences on each model
    sentences = [
        f"The margin is how far to the side of the middle a car that drives along {way} at "
        f"{settings.speed_mph:g} mph still comes back to within 0.5 m, without leaving the road in "
        "the next 5 s. The road is grey, the margin "
        f"blue; where the margin is below {_SMALL_M:g} m, that side of the road is red.",
    ]
    pictures = {
        "The road as a strip, and from how far to its left and right the car comes back": strip
    }
    places = [("", "the narrowest places")]
    commands = {}
    for number, (name, margins) in enumerate(maps.items(), 1):
        sentences.append(f"{name}: {_describe(margins)}.")
        if not margins.record_next:
            sentences.append(f"{name}, what to record next: {_NOTHING}.")
        if margins.narrowest:
            path = folder / f"narrowest-{number}.png"
            plot_frames(_frames(margins, settings), path)
            pictures[f"{name}: the narrowest places, as a car sees them from its margin"] = path
        for rank, place in enumerate(margins.narrowest, 1):
            places.append((f"{name}, {rank}", place.text.strip()))
        for kind in margins.record_next:
            command = kind.command(settings.track, settings.reverse)
            commands[f"{name}, record next: {kind.text}"] = command

    report = folder / REPORT_NAME
    write_report(
        report,
        f"Margins of {', '.join(maps)} on {way}",
        sentences,
        [
            Section("Where it comes back", pictures=pictures),
            Section("The narrowest places", table=places if len(places) > 1 else ()),
            Section("What to record next", commands=commands),
        ],
    )
    return [figures, *pictures.values(), report]


def _describe(margins: MarginMap) -> str:
    return (
        f"{margins.comes_back_percent:.1f} % of the states within 2 m and 10 degrees come back, "
        f"{margins.never_leaves_percent:.1f} % never leave the road; the smallest margin is "
        f"{margins.smallest_margin_m:.2f} m"
    )


_STRIP_INCHES = 2.6  # height of a model's strip, with its title
_TITLE_LETTERS = 40  # in a line of it


def plot_margins(maps: Maps, title: str, path: Path) -> None:
    """Draw the road of each map as a strip into a PNG, one model below the other."""
    figure = new_figure(0.8 + _STRIP_INCHES * len(maps), title)
    rows = figure.subplots(len(maps), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (name, margins) in zip(rows, maps.items(), strict=True):
        _draw_strip(axes, margins)
        axes.set_title(fill(f"{name}: {_describe(margins)}", _TITLE_LETTERS))
        axes.set_ylabel("m to the right")
    rows[-1].set_xlabel("metres along the road")
    save(figure, path)


def _draw_strip(axes: "Axes", margins: MarginMap) -> None:
    """Draw the asphalt grey and the margins blue, and number the narrowest places.

    Where a margin is small, its side of the road is red.
    """
    along_m = margins.along_m
    limits_m = margins.limits_m
    left_m, right_m = margins.margins_m.T
    axes.fill_between(along_m, -limits_m, limits_m, color="0.88", step="mid")
    axes.fill_between(along_m, -left_m, right_m, color=BLUE, alpha=0.55, step="mid", linewidth=0)
    for side, margin_m in ((-1, left_m), (1, right_m)):
        is_small = margin_m < _SMALL_M
        # up to the edge of the road, since a bar as low as the margin would hardly be seen
        axes.bar(along_m[is_small], side * limits_m[is_small], margins.grid.step_m, color=RED)
    axes.axhline(0, color=GRAY, linewidth=0.6)

    # the number of a narrow place stands beside the road, on the side of its margin
    for number, place in enumerate(margins.narrowest, 1):
        height = limits_m.max() * (1.12 * _sign(place))
        axes.text(place.along_m, height, str(number), ha="center", va="center")
    # as the driver sees it when looking along the strip: left, which is negative, is up
    axes.set_ylim(1.25 * limits_m.max(), -1.25 * limits_m.max())
    axes.margins(x=0)
    tidy(axes)


def _sign(place: NarrowPlace) -> int:
    """Return the sign of offsets on the side of a place's margin: -1 for left, 1 otherwise."""
    return -1 if place.side == "left" else 1


def _frames(margins: MarginMap, settings: MarginSettings) -> list[tuple[str, Image]]:
    """Return title and frame for each of the narrowest places, seen from as far as its margin."""
    renderer = Renderer(settings.track, Conditions())
    pitch = nose_up(holding_throttle(settings.speed_mph * MPH))
    track = margins.track
    frames = []
    for number, place in enumerate(margins.narrowest, 1):
        offset_m = place.margin_m * _sign(place)
        car = start_on(track, offset_m, track.start_m + place.along_m, rise=pitch)
        frames.append((f"{number}. {place.text.strip()}", renderer.frame(car)))
    return frames
