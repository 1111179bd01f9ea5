"""Two themes, dark and light: quiet grounds, one accent, colours that survive colour blindness."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="tuiprobe-dark",
    primary="#5aa9e6",
    secondary="#8fb8de",
    accent="#f2a65a",
    warning="#e9c46a",
    error="#e76f51",
    success="#58b09c",
    foreground="#d8dee6",
    background="#11151a",
    surface="#171c23",
    panel="#20272f",
    dark=True,
)
LIGHT = Theme(
    name="tuiprobe-light",
    primary="#1f6fb2",
    secondary="#4b7ea8",
    accent="#b35c00",
    warning="#8a6d00",
    error="#b23a1e",
    success="#1f7a67",
    foreground="#1b2530",
    background="#f7f8f9",
    surface="#eef0f2",
    panel="#e1e5e9",
    dark=False,
)
