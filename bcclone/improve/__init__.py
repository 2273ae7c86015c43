"""Make a model better: learn from a person's corrections, or from the built-in expert.

    from bcclone import improve

    result = improve.improve(improve.ImproveSettings(Path("model.h5"), ("take-overs",), Path("better.h5")), print)

Importing this loads neither TensorFlow nor Keras; improve() does.
"""

from typing import TYPE_CHECKING

from bcclone.improve.settings import ImproveSettings
from bcclone.lazy import lazy_attributes

if TYPE_CHECKING:
    from bcclone.improve.improvement import Improvement, improve

__all__ = ["ImproveSettings", "Improvement", "improve"]

__getattr__ = lazy_attributes(__name__, {"Improvement": "improvement", "improve": "improvement"})
