"""The platform's reference backend for mobile clients: registration and synchronisation of events."""

__version__ = "1.0.0"
