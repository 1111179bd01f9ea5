"""One number of threads for linear algebra, so that no figure depends on the machine's cores."""

from collections.abc import Iterator
from contextlib import contextmanager

import scipy.linalg  # noqa: F401  its BLAS is another one than numpy's, and is limited once loaded
from threadpoolctl import threadpool_limits

BLAS_THREADS = 2
"""Products and decompositions round differently with every number of threads."""


@contextmanager
def fixed_threads() -> Iterator[None]:
    """Gives the BLAS of numpy and of scipy `BLAS_THREADS` threads within the block.

    Without it they take as many as the machine has cores, or as `OMP_NUM_THREADS` says, which
    torchrun sets to 1.
    """
    with threadpool_limits(limits=BLAS_THREADS, user_api="blas"):
        yield
