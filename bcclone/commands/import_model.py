"""Make a model file of an older Keras model: declare once how its input is made, and drive, score or train it on.

The network is rebuilt of what OLD says and holds (.h5 or .keras, Keras 1 to 3); no code in it is run.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone import atomic
from bcclone.commands.options import add_output_options, add_preprocess, as_before, print_json
from bcclone.errors import UserError

if TYPE_CHECKING:
    from bcclone.images import Preprocessing
    from bcclone.model_file import ForeignModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("old", type=Path, metavar="OLD", help="a Keras .h5 or .keras file of others")
    parser.add_argument("-o", "--output", type=Path, default=Path("model.h5"), help="the model to write (model.h5)")
    add_preprocess(parser)
    parser.add_argument("--force", action="store_true", help="write over an existing model")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Import the model; return the exit code. Raises UserError."""
    old, output = arguments.old, arguments.output
    if output.suffix != ".h5":
        raise UserError(f"{output}: a model's name must end in .h5; name another -o")
    if old.exists() and output.exists() and old.samefile(output):
        raise UserError(f"{output} is the model to import; name another -o")
    atomic.check_output(output, arguments.force, "write over it with --force, or name another -o")
    from bcclone.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.model_file import ModelFile, named_preprocessing, open_model, save_model

    loaded = open_model(old)
    if isinstance(loaded, ModelFile):
        raise UserError(f"{old}: is a bcclone model already; copy the file, there is nothing to import")
    if not arguments.json:
        _show(loaded)
    given = named_preprocessing(arguments.preprocess)
    file = loaded.declared(given)
    save_model(output, file.model, file.preprocessing, {"imported": _origin(loaded)})
    if arguments.json:
        print_json({"model": str(output)} | _origin(loaded) | _network(loaded, file.preprocessing))
    else:
        print(
            f"its frames are prepared as {file.preprocessing.describe()}, as --preprocess {arguments.preprocess} says"
        )
        print(f"{output}: written; next: python drive.py {output} run1")
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Say what is left after Ctrl-C."""
    return as_before(arguments.output)


def _origin(loaded: "ForeignModel") -> dict[str, Any]:
    """Return where the network comes from; this goes into the file, too."""
    found = loaded.found
    return {"keras_version": found.keras_version, "backend": found.backend, "notes": list(found.notes)}


def _network(loaded: "ForeignModel", preprocessing: "Preprocessing") -> dict[str, Any]:
    model = loaded.found.model
    return {
        "input_shape": list(loaded.input_shape),
        "weights": model.count_params(),
        "layers": [{"name": name, "kind": kind, "now": now} for name, kind, now in loaded.found.layers],
        "preprocessing": preprocessing.describe(),
    }


def _show(loaded: "ForeignModel") -> None:
    """Print what was found, before anything can be wrong with how its input is made."""
    found = loaded.found
    print(f"{loaded.path}: Keras {found.keras_version}, backend {found.backend}; {found.model.count_params()} weights")
    print(f"its input: {' x '.join(map(str, loaded.input_shape))} values of 0 to 255, {found.model.inputs[0].dtype}")
    for name, kind, now in found.layers:
        print(f"  {name:<24}{kind}{'' if kind == now else f' -> {now}'}")
    for note in found.notes:
        print(f"note: {note}")
    if loaded.fitting:
        print(f"what fits its input: {', '.join(f'--preprocess {name}' for name in loaded.fitting)}", flush=True)
