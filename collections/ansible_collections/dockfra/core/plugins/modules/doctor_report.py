# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor_report
short_description: Tell a person or a program what examinations have found
description:
  - Fails where one of the findings of M(dockfra.core.doctor) says that something is wrong, with a sentence for each and what to do about it.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Does the same; a report is written too.
    support: full
options:
  findings:
    description: What was found, as M(dockfra.core.doctor) returns it.
    type: list
    elements: dict
    required: true
  path:
    description: File on the controller to which all findings are written as JSON, with their number (C(wrong), C(warnings)). Empty for none.
    type: str
    default: ""
seealso:
  - module: dockfra.core.doctor
"""

EXAMPLES = r"""
- name: Say what was found
  dockfra.core.doctor_report:
    findings: "{{ examined.results | map(attribute='findings') | flatten }}"
    path: /tmp/doctor.json
"""

RETURN = r"""
wrong:
  description: How many findings have to be mended.
  returned: always
  type: int
warnings:
  description: How many findings a person should know of.
  returned: always
  type: int
"""
