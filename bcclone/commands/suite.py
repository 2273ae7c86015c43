"""Score models by a suite: many simulated drives of each, under other speeds, latency, weather, cameras and roads.

The standard suite has 20 scenarios, each a row of the table. The suite testing drives the lake in 37 weathers: fog,
rain and snow from 10 to 100 %, day and night. The suite roads drives 30 random roads at 15 and 25 mph, and lake and
mountain in both directions. The drives run in parallel on all cores.
"""

from contextlib import nullcontext

from bcclone.commands.options import Browser, Command, Given, Models, Output, Result, find_watch, notify
from bcclone.evaluate.evaluate_settings import SuiteSettings
from bcclone.lab.monitor.monitor_settings import WatchSettings

_KEPT = "drives"  # folder of the finished drives, in the folder of the results


COMMAND = Command("score models by many simulated drives", (Models, SuiteSettings, WatchSettings, Output, Browser))


def run(given: Given) -> Result:
    """Drive and score."""
    output = given.make(Output).output
    settings = given.make(SuiteSettings, kept=output / _KEPT if output else None)
    watch = find_watch(given)
    from bcclone.cluster.dask_workers import open_pool
    from bcclone.evaluate.suite import evaluate_suite
    from bcclone.evaluate.suite_result import suite_table

    with open_pool(settings.scheduler, notify=notify) if settings.scheduler else nullcontext() as pool:
        result = evaluate_suite(given.make(Models).models, settings, notify, pool, watch)
    figures, text = result.figures(), "\n".join(suite_table(result))
    if output is None:
        return Result(figures, text)
    from bcclone.pictures.score_files import write_suite

    wrote = write_suite(output, result)
    return Result(figures, text, wrote, report=wrote[-1])


def interrupted(given: Given) -> str:
    """Return what is left after Ctrl-C."""
    output = given.of(Output).get("output")
    if output and (kept := output / _KEPT).exists():
        return f"{kept} keeps the finished drives; the same command drives the others"
    return "nothing was written"
