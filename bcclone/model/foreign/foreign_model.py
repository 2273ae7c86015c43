"""A model of another program, whose file does not say how its frames are prepared.

In: a rebuilt network. Out: a description of the network; and once a preprocessing is given, a model
of ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.preprocessing_text import RAW
from bcclone.model.foreign.rebuild import RebuiltModel
from bcclone.model.foreign.unstated import declared_preprocessing, guess_of_output
from bcclone.model.layer_kinds import scaling_layer, stated_scale, with_scale
from bcclone.model.model_facts import TrainingInfo
from bcclone.system.process import note


@dataclass(frozen=True)
class ForeignModel:
    """A model of another program: its path and its rebuilt network."""

    path: Path
    rebuilt: RebuiltModel

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
            f"its input: {' x '.join(map(str, self.input_shape))} values of 0 to 255, "
            f"{model.inputs[0].dtype}"
        )
        width = max(len(layer.name) for layer in rebuilt.layers)
        for layer in rebuilt.layers:
            kinds = layer.kind
            if layer.now != layer.kind:
                kinds = f"{layer.kind} -> {layer.now}"
            yield f"  {layer.name:<{width}}  {kinds}"
        for line in rebuilt.notes:
            yield f"note: {line}"

    def declared(
        self, how: Preprocessing | str | None
    ) -> tuple[keras.Model, Preprocessing, TrainingInfo]:
        """Return the content of a model file with a preprocessing: its network first.

        The scale of the preprocessing becomes a layer. A note warns if nothing scales the pixels,
        or if they are scaled twice. Raises UserError.

        how: as declared_preprocessing() takes it
        """
        rebuilt = self.rebuilt
        if rebuilt.guessed:
            note(guess_of_output(self.path, rebuilt.guessed))
        layer = scaling_layer(rebuilt.model)
        likely_scale = self._likely_scale(layer)
        preprocessing = declared_preprocessing(
            self.path, how, self.input_shape, rebuilt.pilot, likely_scale
        )
        self._note_second_scaling(preprocessing, layer)
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

    def _likely_scale(self, layer: keras.Layer | None) -> str:
        """Return how the author's program probably scaled the pixels, "" if a layer scales them.

        layer: the layer of the network that scales its pixels, None if none does
        """
        if layer:
            return ""
        # a pilot of donkeycar 2 begins with a crop, and was trained on pixels of 0 to 255
        first = self.rebuilt.model.layers[0]
        is_of_donkeycar_2 = self.rebuilt.pilot and isinstance(first, keras.layers.Cropping2D)
        return RAW if is_of_donkeycar_2 else "0..1"

    def _note_second_scaling(self, preprocessing: Preprocessing, layer: Any) -> None:
        """Print a note if the preprocessing scales the pixels and a layer scales them again."""
        # a layer that normalises each image gives the same output after any scale
        if not layer or isinstance(layer, keras.layers.LayerNormalization):
            return
        if preprocessing.scale in ("", RAW):
            return
        unscaled = replace(preprocessing, scale="").describe()
        note(
            f"{self.path}: its own layer {layer.name} scales the pixels again after "
            f"{preprocessing.scale}; leave that out of --preprocess, unless its author did both: "
            f"'{unscaled}'"
        )
