"""Judge, frame by frame, whether a model still knows its surroundings: fit() a monitor, load_monitor() it, score().

    from bcclone import monitor

    monitor.fit("model.h5", "data.h5", "model.monitor", monitor.MonitorSettings(kind="ensemble"))
    doubtful = monitor.load_monitor("model.monitor", "model.h5")
    doubtful.score(frame)  # RGB, uint8 (160, 320, 3); above doubtful.threshold it is unlike what the model knows

Importing this loads neither TensorFlow nor Keras; the functions do.
"""

from typing import TYPE_CHECKING

from bcclone.lazy import lazy_attributes
from bcclone.monitor.settings import KINDS, MonitorSettings

if TYPE_CHECKING:
    from bcclone.monitor.doubt import Doubt, DoubtWatch
    from bcclone.monitor.fitting import fit
    from bcclone.monitor.monitor import Monitor, load_monitor

__all__ = ["KINDS", "Doubt", "DoubtWatch", "Monitor", "MonitorSettings", "fit", "load_monitor"]

__getattr__ = lazy_attributes(
    __name__,
    {"Doubt": "doubt", "DoubtWatch": "doubt", "Monitor": "monitor", "load_monitor": "monitor", "fit": "fitting"},
)
