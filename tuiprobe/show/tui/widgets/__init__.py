"""Widgets: what they draw is made by plain functions that tests call without an app."""
