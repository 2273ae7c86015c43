"""Network, frames in a row -> which pixels decided its steering, frame by frame."""

from pathlib import Path

import numpy as np

from bcclone.plots.figure import new_figure, save, show_image
from bcclone.plots.predictions import predict, stretches
from bcclone.plots.subject import Positions, Scenes, Subject
from bcclone.saliency import Saliency

_FRAMES = 6
_APART_SECONDS = 0.5
_LONG_SECONDS = _APART_SECONDS * (_FRAMES - 1)


def strip_of(scenes: Scenes, positions: Positions) -> Positions:
    """Return six of (instants,), half a second apart, or what there is, of where the steering changes most."""
    seconds = scenes.seconds(positions)
    steering = scenes.samples["steering"][positions]
    best = max(stretches(seconds), key=lambda part: (min(np.ptp(seconds[part]), _LONG_SECONDS), np.ptp(steering[part])))
    begin = seconds[best][int(np.argmax(np.abs(steering[best])))] - _LONG_SECONDS / 2
    latest = max(seconds[best][-1] - _LONG_SECONDS, seconds[best][0])
    wanted = min(max(begin, seconds[best][0]), latest) + _APART_SECONDS * np.arange(_FRAMES)
    places = np.clip(np.searchsorted(seconds[best], wanted - 1e-3), 0, len(best) - 1)
    return np.asarray(positions[best[np.unique(places)]])


def plot_saliency(subject: Subject, path: Path) -> None:
    """Draw frames and, below, the same with what decided lit up (VisualBackProp) into a PNG; raises NotDrawn."""
    scenes, file = subject.scenes, subject.file
    saliency = Saliency(file.model, file.preprocessing)
    windows = subject.shown_windows()
    chosen = strip_of(scenes, windows[:, -1])
    predicted = predict(file.model, subject.inputs(windows[np.isin(windows[:, -1], chosen)]))
    seconds = scenes.seconds(chosen) - scenes.seconds(chosen[:1])
    figure = new_figure(2.3 * len(chosen), 3.3, "Frames, and what in them decided the steering (VisualBackProp)")
    axes = figure.subplots(2, len(chosen), squeeze=False)
    for column, position in enumerate(chosen.tolist()):
        frame = scenes.frame(position)
        show_image(axes[0, column], frame, f"{seconds[column]:.1f} s")
        show_image(axes[1, column], frame)
        mask = saliency.mask(frame)
        axes[1, column].imshow(mask, cmap="inferno", alpha=np.sqrt(mask), vmin=0, vmax=1)
        human = float(scenes.samples["steering"][position])
        axes[1, column].set_xlabel(f"network {predicted[column]:+.3f}\nhuman {human:+.3f}", fontsize=9)
    save(figure, path)
