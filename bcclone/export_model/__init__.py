"""Export a model with the preparation of its frames: ONNX, LiteRT, or a SavedModel.

    from bcclone import export_model

    export_model.export_model(export_model.ExportModelSettings("model.h5", "onnx"), print)

Importing this loads neither TensorFlow nor Keras; export_model() does.
"""

from bcclone.export_model.exporting import ExportModelResult, export_model
from bcclone.export_model.settings import FORMATS, ExportModelSettings

__all__ = ["FORMATS", "ExportModelResult", "ExportModelSettings", "export_model"]
