"""The platform's reference backend: state of the services, deployments and devices."""

__version__ = "1.0.0"
