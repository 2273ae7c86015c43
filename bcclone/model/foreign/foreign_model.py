"""State what the file of another program does not state: how frames are prepared for its network.

In: a rebuilt network, and the preprocessing that the user has given. Out: a model of ours. A pilot
of donkeycar needs none: it is recognised by the name of its input. Notes tell of what may not fit.
Importing this loads nothing large.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.dataset.preprocessing import PRESETS, Preprocessing, preprocessing_of
from bcclone.dataset.preprocessing_text import RAW
from bcclone.model.model_facts import TrainingInfo
from bcclone.model.model_path import is_litert
from bcclone.system.errors import UserError
from bcclone.system.process import note

if TYPE_CHECKING:
    import keras

    from bcclone.model.foreign.weights import RebuiltModel


@dataclass(frozen=True)
class ForeignModel:
    """A model of another program: its path and its rebuilt network."""

    path: Path
    rebuilt: "RebuiltModel"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return the input's rows, columns and channels; for windows, the frames before these."""
        shape: tuple[int, ...] = self.rebuilt.model.input_shape[1:]
        return shape

    def describe(self) -> Iterator[str]:
        """Yield lines about the file, its input, its layers, and what was changed."""
        rebuilt = self.rebuilt
        model = rebuilt.model
        yield (
            f"{self.path}: Keras {rebuilt.keras_version}, backend {rebuilt.backend}; "
            f"{model.count_params()} weights"
        )
        yield (
            f"its input: {_extents(self.input_shape)} values of 0 to 255, {model.inputs[0].dtype}"
        )
        for layer in rebuilt.layers:
            changed = "" if layer["now"] == layer["kind"] else f" -> {layer['now']}"
            yield f"  {layer['name']}: {layer['kind']}{changed}"
        for line in rebuilt.notes:
            yield f"note: {line}"

    def declared(
        self, how: Preprocessing | str | None
    ) -> tuple["keras.Model", Preprocessing, TrainingInfo]:
        """Return the content of a model file with a preprocessing: its network first.

        The scale of the preprocessing becomes a layer. Raises UserError.

        how: as declared_preprocessing() takes it
        """
        import keras

        from bcclone.model.layer_kinds import scaling_layer, stated_scale, with_scale

        rebuilt = self.rebuilt
        scaling = scaling_layer(rebuilt.model)
        # how the author's program probably scaled the pixels
        likely_scale = "0..1"
        if scaling:
            likely_scale = ""
        elif rebuilt.pilot and isinstance(rebuilt.model.layers[0], keras.layers.Cropping2D):
            likely_scale = RAW  # a pilot of donkeycar 2
        preprocessing = declared_preprocessing(
            self.path, how, self.input_shape, rebuilt.pilot, likely_scale
        )
        # a layer that normalises each image gives the same output after any scale
        of_each_image = isinstance(scaling, keras.layers.LayerNormalization)
        if scaling and not of_each_image and preprocessing.scale not in ("", RAW):
            unscaled = replace(preprocessing, scale="").describe()
            note(
                f"{self.path}: its own layer {scaling.name} scales the pixels again after "
                f"{preprocessing.scale}; leave that out of --preprocess, unless its author did "
                f"both: '{unscaled}'"
            )
        network = with_scale(rebuilt.model, preprocessing.scale)
        origin = {
            "keras_version": rebuilt.keras_version,
            "backend": rebuilt.backend,
            "notes": list(rebuilt.notes),
        }
        return (
            network,
            replace(preprocessing, scale=stated_scale(network)),
            TrainingInfo(imported=origin),
        )


def declared_preprocessing(
    path: Path,
    how: Preprocessing | str | None,
    shape: Sequence[int],
    pilot: str,
    likely_scale: str,
) -> Preprocessing:
    """Return how the frames of another program's model are prepared, which its file does not state.

    A note warns if nothing scales the pixels. Raises UserError if images that are prepared in this
    way do not fit the network, or if `how` is missing.

    how: a definition, or its text, in which the size may be missing; None for a pilot of donkeycar
        alone, which prepares its pictures in one way
    shape: rows, columns and channels of the network's input; for windows, the frames before these
    pilot: class of a pilot of donkeycar, as pilot_of() returns it
    likely_scale: how the author's program probably scaled the pixels, such as "0..1"; "" if a layer
        of the network scales them
    """
    *_, rows, columns, channels = shape
    frames = "frames x " if len(shape) == 4 else ""
    takes = f"its network takes {_extents(shape)} ({frames}rows x columns x channels)"
    if channels not in (1, 3):
        raise UserError(
            f"{path}: {takes}, expected 1 or 3 channels, which come last; frames stacked as "
            "channels, and channels that come first, are not supported: train it for such pictures"
        )
    color = "GRAY" if channels == 1 else "RGB"
    if how is None and pilot:
        how = _text(color, likely_scale)
        note(
            f"{path}: a pilot of donkeycar ({pilot}); its pictures are prepared as "
            f"{columns}x{rows}, {how}"
        )

    # refuse a preprocessing that is missing or does not fit, and name those that would fit
    fitting = [
        name for name, preset in PRESETS.items() if preset.shape == (rows, columns, channels)
    ]
    texts = [_text(name, "" if PRESETS[name].scale else likely_scale) for name in fitting]
    if not texts:
        texts = [_text(f"rows 60-140, {columns}x{rows}, {color}", likely_scale)]
    examples = " or ".join(f"--preprocess {shlex.quote(text)}" for text in texts)
    remedy = f"give what it was trained with (its author's drive.py says it), such as {examples}"
    if how is None:
        raise UserError(f"{path}: does not state its preprocessing; {takes}; {remedy}")
    preprocessing = preprocessing_of(how, (columns, rows)) if isinstance(how, str) else how
    if preprocessing.shape != (rows, columns, channels):
        raise UserError(
            f"{path}: {takes}, and {preprocessing.describe()} makes "
            f"{_extents(preprocessing.shape)}; {remedy}"
        )

    # the author's program probably scaled the pixels; the answers to pixels of 0 to 255 would lie
    # far beyond full steering
    if likely_scale and not preprocessing.scale:
        reason = "no layer scales"
        if is_litert(path):
            reason = "its file does not say whether a layer scales"
        note(
            f"{path}: {reason} the pixels, which are 0 to 255; if its author divided them by 255, "
            f"give --preprocess '{preprocessing.describe()}, 0..1', and if not, raw in place of "
            "0..1"
        )
    return preprocessing


def _text(text: str, scale: str) -> str:
    return f"{text}, {scale}" if scale else text


def _extents(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
