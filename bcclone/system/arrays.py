"""Short names for common types of NumPy; docstrings state the shapes of arrays.

In the modules that use them, np.asarray() around an expression that is an array already is for the
type checker, which does not know the types of some of NumPy's results.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
Uint32Array = npt.NDArray[np.uint32]
IndexArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Random = np.random.Generator

# What a policy remembers of a drive between two frames: the last images, newest last, or the states
# of a recurrent network. It is () at the begin of a drive, and always for a policy that sees only
# one frame.
Memory = tuple[npt.NDArray[Any], ...]
