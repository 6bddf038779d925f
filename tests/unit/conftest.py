"""What every unit test of the project needs before it is read."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

# Before anything imports from ansible_collections: Ansible's own finder knows about collections, Python's does not.
init_plugin_loader([str(Path(__file__).parents[2] / "collections")])
