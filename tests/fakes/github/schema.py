"""GitHub's published schema, by the models that githubkit makes of it."""

from __future__ import annotations

import json
from typing import Any

import pydantic
from githubkit_schemas.latest import models

ANSWERS: dict[str, type[pydantic.BaseModel]] = {
    "issue": models.Issue,
    "comment": models.IssueComment,
    "label": models.Label,
    "error": models.BasicError,
    "invalid": models.ValidationError,
}
BODIES: dict[tuple[str, str], type[pydantic.BaseModel]] = {
    ("POST", "issues"): models.ReposOwnerRepoIssuesPostBody,
    ("PATCH", "issue"): models.ReposOwnerRepoIssuesIssueNumberPatchBody,
    ("POST", "labels"): models.ReposOwnerRepoIssuesIssueNumberLabelsPostBodyOneof0,
    ("POST", "comments"): models.ReposOwnerRepoIssuesIssueNumberCommentsPostBody,
}


def problem_of(value: Any, model: type[pydantic.BaseModel]) -> str | None:
    """Return what a value breaks of a model, or None; a list is one of such values."""
    if isinstance(value, list):
        return next((problem for entry in value if (problem := problem_of(entry, model))), None)
    try:
        model.model_validate_json(json.dumps(value))
    except pydantic.ValidationError as error:
        return f"{model.__name__}: {'; '.join(str(error).splitlines())}"
    # The models leave out what they do not know, and GitHub has no such fields.
    unknown = value.keys() - {field.alias or name for name, field in model.model_fields.items()}
    return f"{model.__name__} has no {', '.join(sorted(unknown))}" if unknown else None
