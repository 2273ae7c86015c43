"""Export a model with the preparation of its frames: ONNX, LiteRT, or a SavedModel.

    from bcclone import export_model

    export_model.export_model(export_model.ExportModelSettings("model.h5", "onnx"), print)

Importing this loads neither TensorFlow nor Keras; export_model() does.
"""

from typing import TYPE_CHECKING

from bcclone.export_model.settings import FORMATS, ExportModelSettings
from bcclone.lazy import lazy_attributes

if TYPE_CHECKING:
    from bcclone.export_model.exporting import ExportModelResult, export_model

__all__ = ["FORMATS", "ExportModelResult", "ExportModelSettings", "export_model"]

__getattr__ = lazy_attributes(__name__, dict.fromkeys(("ExportModelResult", "export_model"), "exporting"))
