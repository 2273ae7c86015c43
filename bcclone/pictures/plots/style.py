"""Give all pictures the same style, and save them as small PNGs.

A module takes an empty figure from new_figure(), draws into its axes, and hands it to save(), which
writes the file. draw_steering(), show_image() and save_images() draw what several pictures share.

A picture is made for a phone, which shows it 310 pixels wide, and is sharp on a desktop: all
figures have one width, and all texts one size.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from textwrap import fill

import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL.PngImagePlugin import PngInfo

from bcclone.camera.images import Image
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.files import MADE_BY, write_bytes

WIDTH = 4.2  # of a figure, in inches
TEXT_POINTS = 11  # size of its texts: 11.3 pixels where the figure is 310 pixels wide
DPI = 200
_LETTERS = 49  # in a line of a title across the figure

# M. Okabe and K. Ito, "Color universal design" (2008): safe for colour-blind viewers
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
RED = "#D55E00"
GRAY = "0.45"
CURVES = ((BLUE, "-"), (RED, "--"), (ORANGE, "-"), (GREEN, ":"), (GRAY, "-."))


def new_figure(height: float, title: str = "", width: float = WIDTH) -> Figure:
    """Return an empty figure. height, width: in inches"""
    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        letters = round(_LETTERS * width / WIDTH)
        figure.suptitle("\n".join(fill(line, letters) for line in title.splitlines()))
    return figure


def legend_above(axes: Axes, columns: int = 2) -> None:
    """Put the legend between the title and the axes, where it covers no curve."""
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.45, 1),
        ncols=columns,
        frameon=False,
        columnspacing=1,
        handlelength=1.6,
    )


def tidy(*all_axes: Axes) -> None:
    """Hide the upper and right border, and add a faint grid."""
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)


def draw_steering(
    all_axes: Iterable[Axes],
    times: FloatArray,
    steering: Mapping[str, FloatArray],
    ends: Sequence[float] | FloatArray,
    breaks: Sequence[int] | IndexArray = (),
) -> None:
    """Draw the steering of several drivers over time; each axes show a span of the time.

    times: (frames,), ascending
    steering: name of the driver -> its steering, (frames,)
    ends: times at which the spans begin and end, one more than there are axes
    breaks: indices of frames before which the lines break, such as after a pause
    """
    shown_times = np.insert(times, breaks, np.nan)
    for axes, begin, end in zip(all_axes, ends, ends[1:], strict=False):
        for (name, values), (color, style) in zip(steering.items(), cycle(CURVES), strict=False):
            shown = np.insert(values, breaks, np.nan)
            axes.plot(shown_times, shown, style, color=color, linewidth=1.2, label=name)
        axes.set(ylabel="steering", xlim=(begin, end))
    tidy(*all_axes)


def show_image(axes: Axes, image: Image, title: str = "") -> None:
    """Show an RGB or a grey image, uint8 (height, width, 3 or 1), without ticks."""
    # cmap, vmin and vmax apply to a grey image only
    axes.imshow(image, interpolation="nearest", cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title)


ShownImage = tuple[Image, str, str]  # an image, its title, and a text below it


def save_images(path: Path, rows: Sequence[Sequence[ShownImage]], row_inches: float) -> None:
    """Write rows of images, RGB or grey, uint8 (height, width, 3 or 1), as a PNG.

    row_inches: height of a row with its texts
    """
    across = max(map(len, rows))
    figure = new_figure(row_inches * len(rows))
    grid = figure.subplots(len(rows), across, squeeze=False)
    for axes_of_row, row in zip(grid, rows, strict=True):
        for axes, (image, title_above, below) in zip(axes_of_row, row, strict=False):
            show_image(axes, image, title_above)
            axes.set_xlabel(below)
        for axes in axes_of_row[len(row) :]:
            axes.set_axis_off()
    save(figure, path)


def drawable(text: str) -> str:
    """Return a text in which a question mark replaces each byte that is not UTF-8.

    Names of files may have such bytes, and fonts have no letter for them.
    """
    return text.encode(errors="replace").decode()


_DRAWN = "lines and texts on white"  # of a PNG without photographs

# a PNG of more bytes holds photographs; with 256 colours it becomes much smaller
_PALETTE_FROM_BYTES = 150_000


def save(figure: Figure, path: Path, words: str = "") -> None:
    """Write a figure as a PNG atomically; a figure with photographs gets 256 colours.

    A dollar sign in a text begins no formula: the text may contain the name of a file.

    words: what the picture shows, which words_of() reads
    """
    for axes in figure.axes:
        axes.tick_params(labelsize=TEXT_POINTS)  # of labels that are made when they are drawn
    for text in figure.findobj(Text):
        text.set(parse_math=False, text=drawable(text.get_text()), fontsize=TEXT_POINTS)
    content = io.BytesIO()
    info = PngInfo()
    info.add_text("Software", MADE_BY.decode())
    if words:
        info.add_text("Description", words)
    if not any(axes.images for axes in figure.axes):
        info.add_text("Comment", _DRAWN)
    figure.savefig(content, dpi=DPI, format="png", pil_kwargs={"pnginfo": info})
    if content.tell() > _PALETTE_FROM_BYTES:
        with PIL.Image.open(content) as picture:
            fewer = picture.convert("RGB").quantize(256)
        content = io.BytesIO()
        fewer.save(content, "png", optimize=True, pnginfo=info)
    write_bytes(path, content.getvalue())


def words_of(path: Path) -> str:
    """Return what a PNG of save() shows, in words; "" if that was not said."""
    with PIL.Image.open(path) as picture:
        return str(picture.info.get("Description", ""))


def is_drawn(path: Path) -> bool:
    """Return whether a PNG of save() has lines and texts alone, whose colours can be inverted."""
    with PIL.Image.open(path) as picture:
        return bool(picture.info.get("Comment") == _DRAWN)
