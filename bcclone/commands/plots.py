"""Draw pictures of a trained model, of the samples it was trained on, and of its predictions.

The pictures are written to plots/ in the run folder of the model or, if it has none, to MODEL-plots. Pictures for which
the model or the samples lack the data are skipped, with the reason. With an image (a JPEG) instead of samples, one
picture is drawn of what the model sees and answers in it.
"""

from dataclasses import replace
from pathlib import Path

from bcclone.commands.options import Command, Given, Result, notify
from bcclone.pictures.plot_settings import PlotSettings

_STORE = "data.h5"
COMMAND = Command(
    "draw a model, its samples and its decisions", (PlotSettings,), left="the pictures that were finished are kept"
)


def run(given: Given) -> Result:
    """Draw the pictures."""
    settings = given.make(PlotSettings)
    if not settings.data and Path(_STORE).is_file():
        settings = replace(settings, data=(_STORE,))
        notify(f"samples: those of {_STORE} in this folder; name another store or recordings after the model")
    from bcclone.cluster.shards import open_if_store
    from bcclone.pictures.plots.all_pictures import draw_all, explore_image

    if settings.image:
        explored = explore_image(settings)
        return Result(explored.as_json(), explored.as_text())
    result = draw_all(settings, notify, open_if_store)
    for note in result.notes:
        notify(f"note: {note}")
    width = max(len(picture.name) for picture in result.pictures)
    lines = [f"{each.name:<{width}}  {each.path or f'left out: {each.reason}'}" for each in result.pictures]
    return Result(result.as_json(), "\n".join(lines))
