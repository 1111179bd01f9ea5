"""tuiprobe: probe vision encoders for the inner signature of robustness."""

__version__ = "0.1.0"
