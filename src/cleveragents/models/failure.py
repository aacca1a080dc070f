"""What went wrong with a request to a model, in our words.

The libraries' errors quote bodies and addresses. Here each becomes a kind that
the loop can act on and one sentence: printable, short, and without the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx2
from pydantic_ai import exceptions as lib

from cleveragents.errors import ModelFailedError
from cleveragents.models.edge import EdgeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_QUOTED_CHARS: Final = 200
_MAX_RETRY_AFTER_S: Final = 3_600.0
_OVERLOADED: Final = frozenset({429, 503, 529})
_UNAUTHORISED: Final = frozenset({401, 403})
_TOO_LARGE: Final = 413
_CLIENT_ERROR: Final = 400
_SERVER_ERROR: Final = 500
_GATEWAY_ERRORS: Final = frozenset({502, 504})
"""Somebody in between gave up: the provider may have answered, and counted it."""
_TOO_LONG_PHRASES: Final = (
    "context length",
    "context size",
    "context window",
    "context_length",
    "prompt is too long",
    "input is too long",
    "too many tokens",
)
"""How servers say it that send no code for it."""


def failure_of(error: BaseException, *, secret: str | None) -> ModelFailedError:
    """Say what an error of a library means.

    Args:
        error: Anything: a library may stumble over an answer in any way.
        secret: Taken out of the sentence, should the host have sent it back.
    """
    for cause in _chain(error):
        if isinstance(cause, ModelFailedError):
            return cause
        if isinstance(cause, EdgeError):
            return _failed(cause.kind, cause.reason, is_billed=cause.kind == "bad_reply")
    return _of_library(error, secret)


def _of_library(error: BaseException, secret: str | None) -> ModelFailedError:
    match error:
        case lib.ModelHTTPError():
            return _of_status(error, secret)
        case lib.ModelContextWindowExceededError():
            return _failed("too_long", "the conversation is longer than the model reads")
        case lib.ModelConnectionError() | httpx2.HTTPError():
            return _of_connection(error)
        case lib.ModelAPIError():
            return _of_stream(error, secret)
    reason = (
        "the answer is empty or not in the provider's protocol"
        if isinstance(error, lib.UnexpectedModelBehavior)
        else f"the answer cannot be read ({type(error).__name__})"
    )
    return _failed("bad_reply", reason, is_billed=True)


def _of_status(error: lib.ModelHTTPError, secret: str | None) -> ModelFailedError:
    status = error.status_code
    quoted = _quoted(error.body, secret)
    is_too_long = isinstance(error, lib.ModelContextWindowExceededError) or status == _TOO_LARGE
    if is_too_long or (status == _CLIENT_ERROR and _says_too_long(quoted)):
        return _failed("too_long", f"the conversation is longer than the model reads ({status})")
    if status in _UNAUTHORISED or isinstance(error, lib.ModelAuthenticationError):
        # Providers quote a part of the key here: their words stay out.
        return _failed("unauthorised", f"the provider does not accept the credential ({status})")
    if isinstance(error, lib.ModelQuotaExceededError):
        reason = f"the account's quota or credit is used up ({status}{quoted})"
        return _failed("refused_by_provider", reason)
    if status in _OVERLOADED:
        waits = error.retry_after
        return _failed(
            "overloaded",
            f"the provider is overloaded or its rate limit is reached ({status}{quoted})",
            retry_after_s=None if waits is None else min(max(waits, 0.0), _MAX_RETRY_AFTER_S),
        )
    if status >= _SERVER_ERROR:
        is_billed = status in _GATEWAY_ERRORS or error.in_stream
        return _failed("outage", f"the provider failed ({status}{quoted})", is_billed=is_billed)
    return _failed("refused_by_provider", f"the provider refuses the request ({status}{quoted})")


def _of_connection(error: BaseException) -> ModelFailedError:
    phases = {"pool", "connect"}
    phase = getattr(error, "phase", None)
    causes = tuple(_chain(error))
    is_unsent = phase in phases or any(
        isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout) for cause in causes
    )
    if is_unsent:
        return _failed("outage", f"no connection to the provider{_system_words(causes)}")
    return _failed("outage", "the connection broke before the answer was complete", is_billed=True)


def _of_stream(error: lib.ModelAPIError, secret: str | None) -> ModelFailedError:
    """An error without a status: said inside a stream, or an answer that is no JSON."""
    if isinstance(error, lib.ModelRateLimitError | lib.ModelUnavailableError):
        return _failed("overloaded", "the provider is overloaded", is_billed=error.in_stream)
    if isinstance(error, lib.ModelServerError):
        return _failed("outage", "the provider failed", is_billed=True)
    if error.body is not None:
        quoted = _quoted(error.body, secret)
        reason = f"the provider broke its answer off{quoted}"
        return _failed("bad_reply", reason, is_billed=True)
    return _failed("bad_reply", "the answer is incomplete or is not JSON", is_billed=True)


def _failed(
    kind: str, reason: str, *, retry_after_s: float | None = None, is_billed: bool = False
) -> ModelFailedError:
    return ModelFailedError(
        kind=kind, reason=reason, retry_after_s=retry_after_s, is_billed=is_billed
    )


def _says_too_long(quoted: str) -> bool:
    lowered = quoted.lower()
    return any(phrase in lowered for phrase in _TOO_LONG_PHRASES)


def _quoted(body: object, secret: str | None) -> str:
    """What the provider says, as ``: words``; empty when it says nothing short."""
    found = body
    # {"error": {"message": ...}}, {"message": ...} or {"error": ...}.
    for key in ("error", "message"):
        if isinstance(found, dict) and key in found:
            found = found[key]
    if not isinstance(found, str) or not found.strip():
        return ""
    words = found.replace(secret, "[redacted]") if secret else found
    words = "".join(one if one.isprintable() else " " for one in words[: 4 * _MAX_QUOTED_CHARS])
    words = " ".join(words.split())
    return f": {words[:_MAX_QUOTED_CHARS]}"


def _system_words(causes: tuple[BaseException, ...]) -> str:
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return f": {cause.strerror.lower()}"
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
