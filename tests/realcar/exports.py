"""Models to export, and exported files that are written once for all tests and workers; not to be
changed.
"""

from bcclone.model.model_file import load_model, save_model
from bcclone.realcar.export import export_model
from bcclone.realcar.export_settings import FORMATS, ExportModelSettings
from tests.conftest import made_once


def exported_once(tmp_path_factory, model, kind):
    """Return the file of a format that was exported from a model."""
    name = f"exported{FORMATS[kind]}"

    def export(folder):
        export_model(ExportModelSettings(model, kind, folder / name))

    return made_once(tmp_path_factory, f"{model.stem}-as-{kind}", export) / name


def steeper(model, path, straight_at=0.0, factor=1e7):
    """Write a model that steers so many times as much; by millions, the last digits are more than
    any tolerance.

    straight_at: the steering of the given model where the written one steers straight on; elsewhere
        it steers fully, to one of both sides
    """
    file = load_model(model)
    *others, kernel, bias = file.model.get_weights()
    file.model.set_weights([*others, kernel * factor, (bias - straight_at) * factor])
    save_model(path, file.model, file.preprocessing)
    return path
