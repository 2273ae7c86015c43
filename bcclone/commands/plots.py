"""Draw pictures of a trained model, of the samples it was trained on, and of its predictions.

The pictures are written to plots/ in the run folder of the model or, if it has none, to MODEL-plots. Pictures for which
the model or the samples lack the data are skipped, with the reason. With an image (a JPEG) instead of samples, one
picture is drawn of what the model sees and answers in it.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from bcclone.commands import wings
from bcclone.commands.options import add_settings, chosen, local_path, notify, print_result
from bcclone.pictures.plot_settings import PlotSettings

SUMMARY = "draw a model, its samples and its decisions"
_STORE = "data.h5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", type=local_path, metavar="MODEL", help="a model file")
    parser.add_argument(
        "data", nargs="*", metavar="STORE",
        help="what the model was trained on: a store, or recordings as folders or logs (data.h5, if it exists); or one "
        "image to explore, a camera frame of the simulator",
    )  # fmt: skip
    add_settings(parser, PlotSettings)


def run(arguments: argparse.Namespace) -> int:
    """Draw the pictures; return the exit code."""
    settings = chosen(PlotSettings, arguments)
    if not settings.data and Path(_STORE).is_file():
        settings = replace(settings, data=(_STORE,))
        notify(f"samples: those of {_STORE} in this folder; name another store or recordings after the model")
    from bcclone.pictures.plots.all_pictures import draw_all, explore_image

    if settings.image:
        explored = explore_image(settings)
        print_result(arguments, explored.as_json(), explored.as_text())
        return 0
    result = draw_all(settings, notify, wings.open_if_store)
    for note in result.notes:
        notify(f"note: {note}")
    width = max(len(picture.name) for picture in result.pictures)
    lines = [f"{each.name:<{width}}  {each.path or f'left out: {each.reason}'}" for each in result.pictures]
    print_result(arguments, result.as_json(), "\n".join(lines))
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return "the pictures that were finished are kept"
