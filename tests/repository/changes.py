"""A change of each kind in CONTRIBUTING's table, as somebody would make it: its files, and code that uses what is new.

The code runs in a copy of the package with all changes, one after the other; `recording`, a `model` file and an
empty `folder` are given.
"""

from typing import NamedTuple


class Change(NamedTuple):
    """kind: the first cell of its row; name: what is new, as users write it; edits: (file, text, what it precedes).

    A file with nothing to precede is a new one.
    """

    kind: str
    name: str
    edits: tuple[tuple[str, str, str], ...]
    use: str


CHANGES = (
    Change(
        "a variant of the CNN",
        "cnn-wide",
        (
            (
                "bcclone/model/architectures.py",
                '    Architecture("cnn-wide", "cnn with few, wide convolutions", (Convolution(64, 5, 4),) * 2),\n',
                '    Architecture("lstm"',
            ),
        ),
        """
from bcclone.model.network import build_network
assert build_network(network="cnn-wide").output_shape == (None, 1)
""",
    ),
    Change(
        "a type of layer",
        "UnitNormalization",
        (
            (
                "bcclone/model/layer_kinds.py",
                "    LayerKind(layers.UnitNormalization, keeps_pixels=True),\n",
                "    _elementwise(layers.ELU",
            ),
        ),
        """
import bcclone
import keras
layers = keras.layers.UnitNormalization(), keras.layers.Flatten(), keras.layers.Dense(1)
model = keras.Sequential([keras.Input((128, 128, 3)), *layers])
bcclone.save_model(folder / "unit.h5", model, bcclone.Preprocessing(), {})
assert "UnitNormalization" in {type(one).__name__ for one in bcclone.load_model(folder / "unit.h5").model.layers}
""",
    ),
    Change(
        "an output of the network",
        "brake",
        (
            (
                "bcclone/dataset/answer.py",
                '    Output("predicted_brake", "brake", "also the brake", "brake"),\n',
                ")\n\n\n@dataclass(frozen=True)\nclass Answer",
            ),
            (
                "bcclone/dataset/answer.py",
                "    predicted_brake: float | None = None\n",
                "\n    @classmethod\n    def of(",
            ),
        ),
        """
from bcclone.dataset.answer import Answer, outputs_of
from bcclone.model.network import build_network
assert Answer.of([0, 1, 0, 0.5]).predicted_brake == 0.5
assert build_network(outputs=len(outputs_of("brake"))).output_shape == (None, 4)
""",
    ),
    Change(
        "an augmentation",
        "dimming",
        (
            (
                "bcclone/feed/augment/dimming.py",
                '''"""Halve the brightness of images."""

import numpy as np

from bcclone.feed.augment import LensChange


def _factor(numbers, fraction, extent, xp=np):
    drawn = numbers["dimming"][:, 0]
    return xp.where(drawn < fraction, 0.5 * xp.ones_like(drawn), xp.ones_like(drawn))


def _on_cpu(images, extent, factor):
    rows = images[:, :, extent.top : extent.top + extent.rows]
    rows[...] = rows * factor[:, None, None, None, None]


def _on_device(images, factor, xp):
    return images * factor[:, None, None, None]


KIND = LensChange("dimming", {"dimming": 1}, _factor, _on_cpu, _on_device)
''',
                "",
            ),
            (
                "bcclone/feed/feed_settings.py",
                '    dimming: Fraction = _augment(0.0, "fraction of samples that are darkened")\n',
                "    augment_on: str",
            ),
            ("bcclone/feed/feed_settings.py", '"dimming", ', '"noise")  #'),
        ),
        """
import numpy as np
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.feed.augment import Extent
from bcclone.feed.augment.on_cpu import LENS, draw, numbers_of
assert AugmentSettings(dimming=0.5).dimming == 0.5
(kind,) = [kind for kind in LENS if kind.setting == "dimming"]
images, extent = np.full((2, 1, 4, 8, 3), 200, np.uint8), Extent(0, 4, 8, 4)
factor = kind.parameters(numbers_of(*draw(2, (0, 1, 0))), 1.0, extent, np)
kind.on_cpu(images, extent, factor)
assert (images == 100).all()
""",
    ),
    Change(
        "an order of the feed",
        "backwards",
        (
            ("bcclone/feed/feed_settings.py", '    "backwards": (),\n', "    SHUFFLED: (),"),
            (
                "bcclone/feed/order.py",
                '        if kind == "backwards":\n            return sequential(self.size)[::-1]\n',
                "        if kind == CHUNKS:",
            ),
        ),
        """
from bcclone.feed.feed_settings import Ordering
from bcclone.feed.order import EpochOrder
assert EpochOrder(3, Ordering("backwards")).order(1).tolist() == [2, 1, 0]
""",
    ),
    Change(
        "a feed strategy",
        "hdf5-backwards",
        (
            (
                "bcclone/feed/feed_settings.py",
                '    "hdf5-backwards": Strategy("reads the store backwards", "strategies.backwards", "backwards"),\n',
                '    "hdf5-shuffle": Strategy(',
            ),
            ("bcclone/feed/strategies.py", "backwards = hdf5_shuffle\n\n\n", "def memory("),
        ),
        """
import bcclone
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import FeedSettings, SamplingSettings
from bcclone.feed.selection import select
bcclone.convert(bcclone.PreprocessSettings(inputs=(str(recording),), output=str(folder / "data.h5")))
with bcclone.Store(folder / "data.h5") as store:
    selection = select(store, "training")
    with open_feed(selection, FeedSettings("hdf5-backwards"), SamplingSettings(8)) as feed:
        assert len(feed) == len(selection)
""",
    ),
    Change(
        "a law of control with a setting",
        "slow-in-fog",
        (
            (
                "bcclone/drive/controller.py",
                '    slow_in_fog: bool = _speed(False, "drive at half of --speed")\n',
                "    when_uncertain: WhenUncertain",
            ),
            (
                "bcclone/drive/controller.py",
                "        if self.settings.slow_in_fog:\n            return 0.5 * self.set_speed_mph\n",
                "        mph, predicted = self.set_speed_mph",
            ),
        ),
        """
from bcclone.dataset.answer import Answer
from bcclone.drive.controller import SpeedController, SpeedSettings
assert SpeedController(SpeedSettings(20.0, slow_in_fog=True)).target_mph(Answer(0.0)) == 10.0
""",
    ),
    Change(
        "a column of the store",
        "half_speed",
        (
            (
                "bcclone/dataset/conversion_plan.py",
                '        rows = rows.assign(half_speed=rows["speed_mph"] / 2)\n',
                "        added.append(replace(new, rows=rows))",
            ),
        ),
        """
import bcclone
with bcclone.Store(folder / "data.h5") as store:
    assert (store.rows["half_speed"] == store.rows["speed_mph"] / 2).all()
""",
    ),
    Change(
        "a fault of `--check`",
        "few-rows",
        (
            (
                "bcclone/dataset/steering_faults.py",
                """def few_rows(evidence: Evidence) -> Iterator[Finding]:
    if len(evidence.steering) < 10_000:
        yield Finding("few-rows", "the recording is short", "record more laps", usable=True)


""",
                "def clipped(",
            ),
            ("bcclone/dataset/steering_faults.py", "    few_rows,\n", "    few_steps,\n"),
        ),
        """
import bcclone
from bcclone.dataset import evidence
evidence._FEWEST_ROWS = 100  # the recording of the tests is short
(report,) = bcclone.check([str(recording)])
assert "few-rows" in {finding.fault for finding in report.diagnosis.findings}
""",
    ),
    Change(
        "a format of exchange",
        "names",
        (
            (
                "bcclone/lab/exchange/names.py",
                '''"""The format names: a list of image files, each named after its steering."""

from bcclone.lab.exchange.formats import Format, read_image, row_of


def _write(source, folder):
    for index, row in enumerate(source):
        (folder / f"{index:05d} {row.steering}.jpg").write_bytes(row.images["center"])
    (folder / "names.txt").write_text(f"{len(source)} rows")


def _read(settings, findings):
    for index, path in enumerate(sorted(settings.source.glob("*.jpg"))):
        image = {"center": read_image(settings.source, path.name)}
        values = {"time_ms": 100 * index, "steering": path.stem.split()[1]}
        yield row_of(values, image, path.name)


FORMAT = Format("names", lambda path: (path / "names.txt").exists(), _read, _write, expected="names.txt")
''',
                "",
            ),
            ("bcclone/lab/exchange/exchange_settings.py", '"names": "names", ', '"csv": "csv_table"'),
        ),
        """
from bcclone.commands.options import Given
from bcclone.cli import main
def bcclone_(*words):
    assert main([*map(str, words)]) in (None, 0)
bcclone_("export", recording, "--to", "names", "--cameras", "center", "-o", folder / "named", "--quiet")
bcclone_("import", folder / "named", "-o", folder / "again", "--quiet")
assert len((folder / "again" / "driving_log.csv").read_text().splitlines()) == 120
""",
    ),
    Change(
        "a picture of a model",
        "nothing",
        (
            (
                "bcclone/pictures/plot_settings.py",
                '    Plot("nothing", "charts"),\n',
                '    Plot("recovery", "charts"),',
            ),
            (
                "bcclone/pictures/plots/charts.py",
                """def plot_nothing(subject: Subject, path: Path) -> None:
    save(new_figure(2, 1), path)


""",
                "def plot_steering(",
            ),
        ),
        """
import bcclone
from bcclone.cli import main
words = "plots", model, folder / "data.h5", "--only", "nothing", "-o", folder / "plots", "--quiet"
assert main([*map(str, words)]) in (None, 0)
assert (folder / "plots" / "nothing.png").exists()
""",
    ),
    Change(
        "a command",
        "count-rows",
        (
            (
                "bcclone/commands/count_rows.py",
                '''"""Count the rows of a recording."""

from dataclasses import dataclass

from bcclone.commands.options import Result, command
from bcclone.system.settings import argument


@dataclass(frozen=True)
class CountSettings:
    recording: str = argument("the recording")


@command("count the rows of a recording")
def count_rows(settings: CountSettings) -> Result:
    from bcclone.recording import row_count

    rows = row_count.count_rows(settings.recording)
    return Result({"rows": rows}, f"{rows} rows")
''',
                "",
            ),
            (
                "bcclone/recording/row_count.py",
                '''"""Count rows."""

from bcclone.recording.files import find_logs
from bcclone.recording.log import read_log


def count_rows(recording: str) -> int:
    return sum(len(read_log(path).rows) for path in find_logs([recording]))
''',
                "",
            ),
        ),
        """
import contextlib, io, json
from bcclone.cli import main
with contextlib.redirect_stdout(io.StringIO()) as printed:
    assert main(["count-rows", str(recording), "--json"]) in (None, 0)
assert json.loads(printed.getvalue())["rows"] == 120
""",
    ),
)
