"""Serves the downloadable client that was built with this image."""

__version__ = "1.0.0"
