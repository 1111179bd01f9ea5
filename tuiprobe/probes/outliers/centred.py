"""Persistence of centred rows: a row counts itself, and moves the means that centre the others."""

import numpy as np

from tuiprobe.probes.inputs import Bool, Float32, Float64
from tuiprobe.probes.outliers import persistence
from tuiprobe.probes.outliers.scan import RowScan
from tuiprobe.probes.rows import blocks
from tuiprobe.results import Figure


def centred_persistence(rows: Float32, keep: Bool, one: RowScan) -> Figure:
    """Returns P of the centred rows, with the jackknife that moves the means to first order.

    Args:
        rows: [m, C].
        keep: [m], the rows that are finite and not constant.
        one: What `scan` found in them.
    """
    n, share_sum = one.images, one.centred_share_sum
    if n < 2:
        return persistence.from_images(share_sum, one.centred_own, one.centred_dots).value
    slopes = _slopes(rows, keep, one)
    shift = np.zeros((n, 2))
    done = 0
    for place, block in blocks(rows):
        rest = block[keep[place]] - one.mean
        # Without row i the means move by -(x_i - mean) / (n - 1), and rows by the opposite.
        shift[done : done + len(rest)] = rest @ slopes / (n - 1)
        done += len(rest)
    found = persistence.from_images(
        share_sum, one.centred_own, one.centred_dots, own_shift=shift[:, 0], shift=shift[:, 1]
    )
    return found.value


def _slopes(rows: Float32, keep: Bool, one: RowScan) -> Float64:
    """Returns the slopes [C, 2] of sum_nc s_nc^2 and sum_c S_c^2 in a shift of all centred rows.

    With u a row minus its mean over channels, sum_c a_c s_c has slope 4 u_d^3 (a_d - sum_c a_c s_c)
    / sum_c u_c^4 in u_d; a is 2 s for the first sum and 2 S for the second.
    """
    slopes = np.zeros((rows.shape[1], 2))
    done = 0
    for place, block in blocks(rows):
        u = block[keep[place]] - one.mean
        own, dots = (part[done : done + len(u), None] for part in (one.centred_own,
                                                                   one.centred_dots))  # fmt: skip
        done += len(u)
        u -= u.mean(axis=1, keepdims=True)
        square = u * u
        total = np.einsum("ij,ij->i", square, square)[:, None]
        total[total == 0] = 1
        cube = 8 * square * u / total
        shares = square * square / total
        slopes[:, 0] += (cube * (shares - own)).sum(axis=0)
        slopes[:, 1] += (cube * (one.centred_share_sum - dots)).sum(axis=0)
    return np.asarray(slopes - slopes.mean(axis=0))
