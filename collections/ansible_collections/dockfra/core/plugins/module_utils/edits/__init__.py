# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Edits of files that a model proposes: what they are, where they may go, and what becomes of a file.

None of this reads or writes a file or knows git: it is given what is there and says what there will be.
"""
