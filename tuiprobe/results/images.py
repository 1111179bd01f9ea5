"""An image among the strongest or weakest of a channel or direction."""

from tuiprobe.results.base import Count, Frozen, Real


class TopImage(Frozen):
    """One image at an end of a channel.

    Attributes:
        sample_id: Id in the run's sample list.
        path: Relative path in the data set; None where the caller knew none.
        value: Value of the channel.
        position: Row within the image (0 where an image has one row).
    """

    sample_id: Count
    path: str | None
    value: Real
    position: Count
