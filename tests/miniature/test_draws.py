from tuiprobe.miniature.draws import Draws


def test_first_draws_are_the_documented_ones() -> None:
    # The raw stream of Philox is promised by NumPy; these values must never change.
    draws = Draws("val", 0)
    assert [draws.below(1000) for _ in range(6)] == [615, 176, 451, 870, 445, 174]
