"""Tests of `tuiprobe.watch`."""
