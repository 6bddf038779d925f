# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What one platform may ask of the Docker Engine, and nothing else: see `rules`."""
