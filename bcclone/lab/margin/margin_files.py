"""Write the files of maps of margins: the road as a strip, frames of the narrowest places, figures and a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from bcclone.dataset.vehicle import MPH
from bcclone.lab.margin.margin_settings import MarginSettings
from bcclone.lab.margin.margins import SMALL_M, MarginMap, describe_check, describe_place
from bcclone.lab.margin.record_next import Advice, figures_of
from bcclone.pictures.plots.drives import plot_frames
from bcclone.pictures.plots.style import BLUE, GRAY, RED, new_figure, save, tidy
from bcclone.pictures.report import REPORT_NAME, Report, shown_command, write_report
from bcclone.simulator.car import holding_throttle, nose_up, start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.world_settings import Conditions
from bcclone.system.atomic import write_text
from bcclone.system.json_values import json_text
from bcclone.system.settings import option_words

_STRIP_INCHES, _WIDE_INCHES = 2.0, 12.0


def write_margins(
    folder: Path, maps: Mapping[str, MarginMap], advice: Advice, settings: MarginSettings, models: Sequence[Path]
) -> list[Path]:
    """Write a picture of all maps, frames of each model's narrowest places, the figures and a report into a folder.

    advice: what to record next. Return their paths, the report's last.
    """
    strip, figures = folder / "margins.png", folder / "figures.json"
    plot_margins(maps, _title(settings), strip)
    write_text(figures, json_text(figures_of(maps, advice), indent=2))
    pictures = {"The road as a strip, and from how far to its left and right the car comes back": strip}
    for number, (name, one) in enumerate(maps.items()):
        if one.narrowest():
            path = folder / f"narrowest-{number + 1}.png"
            plot_frames(_frames(one, settings), path)
            pictures[f"{name}: the narrowest places, as a car sees them from its margin"] = path
    report = folder / REPORT_NAME
    write_report(report, margin_report(maps, advice, settings, models, pictures))
    return [figures, *pictures.values(), report]


def plot_margins(maps: Mapping[str, MarginMap], title: str, path: Path) -> None:
    """Draw the road of each map as a strip into a PNG, one model below the other."""
    figure = new_figure(_WIDE_INCHES, 0.8 + _STRIP_INCHES * len(maps), title)
    rows = figure.subplots(len(maps), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (name, one) in zip(rows, maps.items(), strict=True):
        _draw_strip(axes, one)
        axes.set_title(f"{name}: {_describe(one)}", fontsize=9, loc="left")
        axes.set_ylabel("m to the right")
    rows[-1].set_xlabel("metres along the road")
    save(figure, path)


def margin_report(
    maps: Mapping[str, MarginMap],
    advice: Advice,
    settings: MarginSettings,
    models: Sequence[Path],
    pictures: Mapping[str, Path],
) -> Report:
    """Return the report of maps. pictures: caption -> path."""
    way = f"the road {settings.track}{' in reverse' if settings.reverse else ''}"
    sentences = [
        f"The margin is how far to the side of the middle a car that drives along {way} at {settings.speed_mph:g} mph "
        "still comes back to within 0.5 m, without leaving the road in the next 5 s. The road is grey, the margin "
        f"blue; below {SMALL_M:g} m it is red.",
        *(f"{name}: {_describe(one)}." for name, one in maps.items()),
        *(f"{name}: {describe_check(one.check)}." for name, one in maps.items() if one.check),
        *(f"{name}: nothing to record next here, nearly every state comes back." for name in maps if not advice[name]),
    ]
    of_several = {name: f"{name}: " if len(maps) > 1 else "" for name in maps}
    table = [("", "the narrowest places")]
    table += [
        (f"{of_several[name]}{number}", describe_place(place).strip())
        for name, one in maps.items()
        for number, place in enumerate(one.narrowest(), 1)
    ]
    commands: dict[str, str] = {}
    for name, lines in advice.items():
        for line in lines:
            commands[f"{of_several[name]}Record next: {line.text}"] = line.command(settings.track, settings.reverse)
    if not settings.check:
        kept = ("-o", settings.kept.parent) if settings.kept else ()
        words = (*models, *option_words(settings), "--check", "1000", *kept)
        commands["Check the map by driving"] = shown_command("margin", *words)
    title = f"Margins of the model{'s' * (len(maps) > 1)} {', '.join(maps)} on {way}"
    return Report(title, sentences, None, pictures, table if len(table) > 1 else (), commands)


def _title(settings: MarginSettings) -> str:
    return f"{settings.track}{' reversed' if settings.reverse else ''}, {settings.speed_mph:g} mph"


def _describe(one: MarginMap) -> str:
    return (
        f"{one.share_percent:.1f} % of the states within 2 m and 10 degrees come back, {one.stays_percent:.1f} % never "
        f"leave the road; the smallest margin is {one.smallest_margin_m:.2f} m"
    )


def _draw_strip(axes: Axes, one: MarginMap) -> None:
    """Draw the asphalt grey, the margins blue, those of less than half a metre red, and number the narrowest places."""
    along, limits, (left, right) = one.along_m, one.limits_m, one.returning.margins_m.T
    axes.fill_between(along, -limits, limits, color="0.88", step="mid")
    axes.fill_between(along, -left, right, color=BLUE, alpha=0.55, step="mid", linewidth=0)
    for side, margin in ((-1, left), (1, right)):
        narrow = margin < SMALL_M
        axes.bar(along[narrow], side * limits[narrow], one.returning.grid.step_m, color=RED)
    axes.axhline(0, color=GRAY, linewidth=0.6)
    for number, place in enumerate(one.narrowest(), 1):
        height = limits.max() * (-1.12 if place.side == "left" else 1.12)
        axes.text(place.along_m, height, str(number), ha="center", va="center", fontsize=8)
    axes.set_ylim(1.25 * limits.max(), -1.25 * limits.max())  # as the driver has it: left is up
    axes.margins(x=0)
    tidy(axes)


def _frames(one: MarginMap, settings: MarginSettings) -> list[tuple[str, np.ndarray]]:
    """Return a frame of each of the narrowest places, from its margin, with a title."""
    renderer, pitch = Renderer(settings.track, Conditions()), nose_up(holding_throttle(settings.speed_mph * MPH))
    frames = []
    for number, place in enumerate(one.narrowest(), 1):
        offset = place.margin_m * (-1 if place.side == "left" else 1)
        car = start_on(one.track, offset, one.track.start_m + place.along_m, rise=pitch)
        frames.append((f"{number}. {describe_place(place).strip()}", renderer.frame(car)))
    return frames
