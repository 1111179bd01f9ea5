"""A machine without an OpenMP runtime is told so."""

import warnings

import pytest
import torch

from tuiprobe.stats import _native


def test_a_missing_runtime_is_told(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _native.warn_without_openmp()  # torch's wheel brings one
    monkeypatch.setattr(_native.native, "openmp_runtime", lambda: "")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.warns(RuntimeWarning, match="single thread"):
        _native.warn_without_openmp()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    _native.warn_without_openmp()  # nothing is lost
