"""Calibration of the head before and after temperature scaling; accuracy by class."""
