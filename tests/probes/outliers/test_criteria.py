import numpy as np
import pytest

from tests.probes import planted
from tests.probes.planted import final, inner
from tests.report.samples import model, outliers
from tuiprobe.probes.outliers.describe import describe
from tuiprobe.probes.outliers.result import OutlierResult
from tuiprobe.probes.outliers.rules import (
    llm_int8,
    massive_activations,
    registers,
    second_mode,
)
from tuiprobe.report.text import line


def tokens(n=64, positions=7, channels=48, seed=0):
    return np.random.default_rng(seed).standard_normal((n, positions, channels)).astype("f4")


def test_massive_activations_need_magnitude_and_ratio():
    x = tokens()
    x[:, 0, 11] = -2000
    result = massive_activations(inner(x))
    assert result.met
    assert result.channels == (11,)
    magnitude = np.median(np.abs(x[:, 3]))
    assert result.figure.value == pytest.approx(2000 / magnitude)
    assert massive_activations(inner(tokens())).met is False
    small = tokens() / 100
    small[:, 0, 11] = 90  # ratio enough, magnitude not
    assert massive_activations(inner(small)).met is False


def test_magnitude_rules_say_why_they_do_not_apply():
    maps = inner(tokens(), kind="map", tokens=None)
    for result in (massive_activations(maps), registers(maps)):
        assert "residual stream" in result.figure.reason
        assert result.met is None
    assert "levels" in massive_activations(inner(tokens(), tokens="mean")).figure.reason
    assert "all tokens" in registers(inner(tokens(), tokens="class")).figure.reason


def test_registers_are_a_second_mode_of_the_norms():
    x = tokens(n=200)
    x[:, 2] *= 30
    result = registers(inner(x))
    assert result.met
    assert result.figure.value == pytest.approx(1 / 7)
    assert registers(inner(tokens(n=200))).met is False


def test_the_card_says_where_tokens_of_large_norm_begin_only_if_there_are_any():
    def at(tap, share):
        result = registers(inner(tokens()))
        figure = result.figure.model_copy(update={"value": share})
        criterion = result.model_copy(update={"met": share > 0, "figure": figure})
        return outliers(tap=tap, final=False, criteria=(criterion,))

    def lines(*taps):
        section = describe(OutlierResult(taps=(*taps, outliers())), model())
        return [line(text) for text in section.card]

    first, most = at("blocks.5", 0.01), at("blocks.8", 0.025)
    _, registers_line = lines(at("blocks.1", 0.0), first, most)
    assert registers_line.startswith(
        "Tokens of large norm begin at blocks.5; at blocks.8 they are 2.5 % of"
    )
    assert "dense tasks show it" in registers_line
    assert len(lines(at("blocks.1", 0.0))) == len(lines()) == 1


def test_a_shoulder_or_a_stray_token_is_no_second_mode():
    histogram = np.zeros(96, dtype=np.int64)
    histogram[30:40] = [10, 900, 800, 500, 300, 200, 150, 100, 50, 10]
    assert second_mode(histogram) is None
    histogram[60] = 1
    assert second_mode(histogram) is None
    histogram[60] = 30
    assert second_mode(histogram) is not None
    assert second_mode(np.zeros(96, dtype=np.int64)) is None


def test_llm_int8_needs_all_blocks_and_counts_layers():
    loud = tokens()
    loud[:, :, 3] += 50
    taps = [inner(loud), inner(tokens()), inner(tokens(seed=1)), inner(tokens(seed=2))]
    result = llm_int8(taps, all_blocks=True)
    assert result.channels == (3,)
    assert llm_int8([*taps, inner(tokens(seed=3))], all_blocks=True).met is False  # 1 of 5
    assert "all blocks" in llm_int8(taps, all_blocks=False).figure.reason
    assert "residual" in llm_int8([final(planted.gaussian(9))], all_blocks=True).figure.reason


def test_rows_that_are_not_finite_are_in_no_denominator():
    loud = tokens()
    loud[:, :, 3] += 50
    spoiled = np.concatenate([loud, np.full((1000, 7, 48), np.nan, dtype="f4")])
    result = llm_int8([inner(spoiled)], all_blocks=True)
    assert result.channels == (3,)
    assert result.figure.n == 64 * 7
