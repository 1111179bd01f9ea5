"""Types of arrays."""

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

BLOCK_VALUES = 1 << 18
"""Values of a block of rows: 2 MiB of float64, which stays in a core's cache."""
