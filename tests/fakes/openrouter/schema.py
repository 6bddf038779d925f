"""OpenRouter's published schema, by the models of its own Python client."""

from __future__ import annotations

import json
from typing import Any

import pydantic

from openrouter import components, errors

ANSWERS: dict[str, type[pydantic.BaseModel]] = {
    "completion": components.ChatResult,
    "chunk": components.ChatStreamChunk,
    "models": components.ModelsListResponse,
}
ERRORS: dict[int, type[pydantic.BaseModel]] = {
    400: errors.BadRequestResponseErrorData,
    401: errors.UnauthorizedResponseErrorData,
    402: errors.PaymentRequiredResponseErrorData,
    403: errors.ForbiddenResponseErrorData,
    404: errors.NotFoundResponseErrorData,
    408: errors.RequestTimeoutResponseErrorData,
    413: errors.PayloadTooLargeResponseErrorData,
    422: errors.UnprocessableEntityResponseErrorData,
    429: errors.TooManyRequestsResponseErrorData,
    500: errors.InternalServerResponseErrorData,
    502: errors.BadGatewayResponseErrorData,
    503: errors.ServiceUnavailableResponseErrorData,
    524: errors.EdgeNetworkTimeoutResponseErrorData,
    529: errors.ProviderOverloadedResponseErrorData,
}
REQUEST: type[pydantic.BaseModel] = components.ChatRequest

# OpenRouter answers it, and its schema does not list it yet.
_BESIDE = {"ChatResult": {"provider"}, "ChatStreamChunk": {"provider"}}


def problem_of(value: Any, model: type[pydantic.BaseModel]) -> str | None:
    """Return what a value breaks of a model, or None."""
    try:
        model.model_validate_json(json.dumps(value))
    except pydantic.ValidationError as error:
        return f"{model.__name__}: {'; '.join(str(error).splitlines())}"
    # The models leave out what they do not know.
    known = {field.alias or name for name, field in model.model_fields.items()}
    unknown = value.keys() - known - _BESIDE.get(model.__name__, set())
    return f"{model.__name__} has no {', '.join(sorted(unknown))}" if unknown else None
