"""Map a model's margins: at each few metres of a road, from which offset and heading does the car come back?

States of the car (place, offset, heading, at a held speed) are enumerated, each frame is rendered and answered by the
model, and the states are followed by the simulated car's own law of motion. The map shows from how far to the left and
to the right of the middle the car comes back, where this is least, and what to record there. With several models, each
has its map, side by side.
"""

from contextlib import nullcontext

from bcclone.commands.options import Browser, Command, Given, Models, Output, Result, notify
from bcclone.lab.margin.margin_settings import MarginSettings

_KEPT = "parts"  # folder of the finished parts, in the folder of the results


COMMAND = Command(
    "map where a model comes back to the middle of the road, and where it leaves it",
    (Models, MarginSettings, Output, Browser),
)


def run(given: Given) -> Result:
    """Map the margins."""
    models, output = given.make(Models).models, given.make(Output).output
    settings = given.make(MarginSettings, kept=output / _KEPT if output else None)
    from bcclone.cluster.dask_workers import open_pool
    from bcclone.lab.margin.margin_map import margin_table
    from bcclone.lab.margin.margins import map_margins
    from bcclone.lab.margin.record_next import advice_lines, figures_of, record_next

    with open_pool(settings.scheduler, notify=notify) if settings.scheduler else nullcontext() as pool:
        maps = map_margins(models, settings, notify, pool)
    advice = {name: record_next(one) for name, one in maps.items()}
    text = "\n".join([*margin_table(maps), *advice_lines(advice, settings.track, settings.reverse)])
    figures = figures_of(maps, advice)
    if output is None:
        return Result(figures, text)
    from bcclone.lab.margin.margin_files import write_margins

    wrote = write_margins(output, maps, advice, settings, models)
    return Result(figures, text, wrote, report=wrote[-1])


def interrupted(given: Given) -> str:
    """Return what is left after Ctrl-C."""
    output = given.of(Output).get("output")
    if output and (kept := output / _KEPT).exists():
        return f"{kept} keeps the finished parts; the same command computes the others"
    return "nothing was written"
