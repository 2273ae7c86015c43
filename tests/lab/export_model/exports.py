"""Exported files of the untrained models, each written once for all tests and workers; not to be changed."""

from bcclone.lab.export_model.export_settings import FORMATS, ExportModelSettings
from bcclone.lab.export_model.model_export import export_model
from tests.conftest import made_once


def exported_once(tmp_path_factory, model, kind):
    """Return the file of a format that was exported from a model."""
    name = f"exported{FORMATS[kind][0]}"

    def export(folder):
        export_model(ExportModelSettings(model, kind, folder / name))

    return made_once(tmp_path_factory, f"{model.stem}-as-{kind}", export) / name
