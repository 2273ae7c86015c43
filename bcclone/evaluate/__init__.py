"""Score models in a simulated world: evaluate() for one drive, evaluate_suite() for many drives of several models.

The functions are imported on first use, and load TensorFlow only when it is needed.
"""

from typing import TYPE_CHECKING

from bcclone.evaluate.settings import EvaluateSettings, SuiteSettings
from bcclone.lazy import lazy_attributes
from bcclone.simulator.settings import Conditions, WorldSettings

if TYPE_CHECKING:
    from bcclone.evaluate.scenarios import SCENARIOS, Scenario, SuiteResult
    from bcclone.evaluate.single import DriveFigures, Evaluation, evaluate, evaluate_policy
    from bcclone.evaluate.suite import evaluate_suite

__all__ = [
    "SCENARIOS",
    "Conditions",
    "DriveFigures",
    "EvaluateSettings",
    "Evaluation",
    "Scenario",
    "SuiteResult",
    "SuiteSettings",
    "WorldSettings",
    "evaluate",
    "evaluate_policy",
    "evaluate_suite",
]

__getattr__ = lazy_attributes(
    __name__,
    {
        "SCENARIOS": "scenarios",
        "Scenario": "scenarios",
        "SuiteResult": "scenarios",
        "DriveFigures": "single",
        "Evaluation": "single",
        "evaluate": "single",
        "evaluate_policy": "single",
        "evaluate_suite": "suite",
    },
)
