"""Run the whole workflow without the simulator: record laps, preprocess, train, drive and score a lap, make the clips.

Steps that are complete in the folder are skipped; remove the folder to start again.
"""

from bcclone.commands.options import Browser, Command, Given, Result, notify
from bcclone.demo import DemoSettings, run_demo, show_result

COMMAND = Command(
    "record, train and drive, without the simulator",
    (DemoSettings, Browser),
    left="completed steps are kept; the same command continues with the next one",
)


def run(given: Given) -> Result:
    """Run the demo; the exit code is 1 when the car needed an intervention."""
    result = run_demo(given.make(DemoSettings), notify)
    text = "\n" + "\n".join(show_result(result))
    return Result(result.as_json(), text, report=result.page, code=int(not result.on_the_road))
