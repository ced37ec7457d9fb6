"""What a failed model call means: a setting to change, or an outage that the next deployment or moment may mend."""

from __future__ import annotations

import math
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from dionysus_mcp.models.guards import Untrusted
from layers.tiers.abilities import speaks_of_length

if TYPE_CHECKING:
    from layers.tiers.settings import Deployment

_REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 422})
_TOO_LONG, _FILTERED = "ContextWindowExceededError", "ContentPolicyViolationError"
_PREFIX = re.compile(r"^(?:litellm\.\w+:\s*)*(?:Timeout Error:\s*|\w+Error:\s*)*(?:\w+Exception\s*-\s*)?")
_LONGEST_REASON = 240
# What LiteLLM says of answers that it can't read: the endpoint's status was 200.
_NO_COMPLETION = re.compile(
    r"Expecting (?:value|property)|not valid JSON|validation errors? for|Invalid response object|recursion depth"
    r"|invalid response from LLM|provider returned 'choices'|codec can't decode"
)
_AFTER = re.compile(
    r"\s*(?:Traceback \(most recent call last\)|For further information visit|Check the reverse proxy"
    r"|model=\S+ context_window_fallbacks=).*",
    re.S,
)


class Refused(Exception):
    """A provider refused the key, the model or the request: retrying changes nothing; the settings must change."""


class Unavailable(Exception):
    """No deployment of a tier could answer; `str()` has each one's reason."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed call of one deployment.

    Attributes:
        deployment: which one.
        reason: one line, without secrets.
        again: whether the same call to it may succeed a moment later.
        retry_after: seconds that the provider asks to wait; `None` if it doesn't say.
    """

    deployment: Deployment
    reason: str
    again: bool = True
    retry_after: float | None = None

    def __str__(self) -> str:
        where = f" at {self.deployment.api_base}" if self.deployment.api_base else ""
        return f"{self.deployment.model}{where}: {self.reason}"


def judge(error: Exception, deployment: Deployment, tier: str) -> Failure:
    """Return what a failed call was.

    Raises:
        Refused: the provider refused key, model or request.
    """
    status = int(getattr(error, "status_code", None) or 0)
    reason = _reason(error, deployment)
    name = type(error).__name__
    if (told := _of_its_own(error, status, reason, deployment)) is not None:
        return told
    if "LLM Provider NOT provided" in reason:
        raise Refused(
            f"LiteLLM knows no provider for {deployment.model!r}, of the tier {tier!r}. Write `models` in "
            f"[tiers.{tier}] as provider/model, or openai/NAME with an api_base for an OpenAI-compatible endpoint."
        ) from error
    if status in _REFUSALS:
        raise Refused(_refusal(status, reason, deployment, tier)) from error
    if "insufficient_quota" in f"{reason} {getattr(error, 'code', '')}":
        return Failure(deployment, f"the account's quota is used up ({status}): {reason}", again=False)
    asked = _retry_after(error)
    if status == 429:
        return Failure(deployment, f"rate limit reached (429): {reason}{_told(asked)}", retry_after=asked)
    return Failure(deployment, _trouble(status, name, reason) + _told(asked), retry_after=asked)


def _of_its_own(error: Exception, status: int, reason: str, deployment: Deployment) -> Failure | None:
    """Return the failure for what LiteLLM gives a status that says something else."""
    name = type(error).__name__
    if (below := _from_below(error)) is not None:
        return Failure(deployment, below, again=not _lasting(error))
    if isinstance(error, TimeoutError) or (name in {"Timeout", "APITimeoutError"} and not _answered(error, 408)):
        return Failure(deployment, f"no answer within {deployment.timeout:g} s", again=False)
    # One request may be too long, or refused by a filter, at one deployment and welcome at the next: not a setting.
    if is_of_length(error) or (status == 400 and speaks_of_length(reason)):
        return Failure(deployment, f"the prompt does not fit into its context, shortened too ({reason})", again=False)
    return Failure(deployment, reason, again=False) if name == _FILTERED else None


def is_of_length(error: Exception) -> bool:
    """Whether LiteLLM knows an error for a refusal of a prompt that is too long, whatever words the provider has."""
    return type(error).__name__ == _TOO_LONG


def plain(error: Exception) -> str:
    """Return what an error says in its endpoint's words.

    LiteLLM adds prefixes, paragraphs of its own advice, and tracebacks, in which words stand for everything.
    """
    return _AFTER.sub("", _PREFIX.sub("", str(error).split("\n\n", 1)[0]))


def missing_key(deployment: Deployment, tier: str) -> Refused:
    """Return the error for a deployment that needs a key and has none."""
    return Refused(
        f"The tier {tier!r} has no key for {deployment.model!r}. Set {deployment.key_setting}, or take the model out "
        f"of `models` in [tiers.{tier}]."
    )


def _refusal(status: int, reason: str, deployment: Deployment, tier: str) -> str:
    where = f" at {deployment.api_base}" if deployment.api_base else ""
    remedies = {
        401: f"The key is not accepted: check {deployment.key_setting}.",
        402: f"The account can't pay for it: check the plan of the key in {deployment.key_setting}.",
        403: f"The key may not use this model: check {deployment.key_setting} and `models` in [tiers.{tier}].",
        404: f"No such model or address: check `models` and `api_base` in [tiers.{tier}].",
    }
    remedy = remedies.get(status, f"It does not take this request: check `models` and `max_tokens` in [tiers.{tier}].")
    return f"{deployment.model!r}{where}, of the tier {tier!r}, answered {status} ({reason}). {remedy}"


def _told(asked: float | None) -> str:
    """Say how long a provider wants to be left alone, where that is longer than a moment."""
    return f" (it asks for {asked:,.0f} s of rest)" if asked is not None and asked >= 1 else ""


def _from_below(error: BaseException) -> str | None:
    """Return the reason that stands in the causes of an error: LiteLLM says "Connection error." for all of them."""
    for cause in _chain(error):
        if isinstance(cause, Untrusted):
            return str(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, socket.gaierror):
            return f"its address is not known ({cause.strerror})"
        if isinstance(cause, ConnectionRefusedError):
            return "nothing listens there (connection refused)"
    return None


def _lasting(error: BaseException) -> bool:
    return any(isinstance(cause, Untrusted | ssl.SSLCertVerificationError) for cause in _chain(error))


def _answered(error: BaseException, status: int) -> bool:
    """Whether a response with this status came; LiteLLM gives errors of its own a status, too."""
    responses = (getattr(cause, "response", None) for cause in _chain(error))
    told = "openai.APIStatusError", "httpx.HTTPStatusError"
    causes = {f"{type(cause).__module__.split('.')[0]}.{type(cause).__name__}" for cause in _chain(error)}
    return any(getattr(each, "status_code", None) == status for each in responses) and bool(causes.intersection(told))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, the outermost first."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__context__, each.__cause__]


def _trouble(status: int, name: str, reason: str) -> str:
    # LiteLLM gives failures without an HTTP answer the status 500 all the same.
    if "Connection error" in reason:
        return "it can't be reached, or dropped the connection"
    if _NO_COMPLETION.search(reason):
        return f"its answer is no completion ({reason})"
    return f"{status or name}: {reason}"


def _reason(error: Exception, deployment: Deployment) -> str:
    """Return an error's text in one line: no prefixes of LiteLLM, no key."""
    line = " ".join(plain(error).split()) or type(error).__name__
    if deployment.api_key is not None:
        line = line.replace(deployment.api_key.get_secret_value(), "***")
    return line if len(line) <= _LONGEST_REASON else line[:_LONGEST_REASON] + "…"


def _retry_after(error: Exception) -> float | None:
    """Return the seconds that a provider asks to wait: `Retry-After` in seconds or as a date, or OpenAI's header."""
    headers: Mapping[str, Any] = getattr(error, "litellm_response_headers", None) or {}
    said = {str(name).lower().removeprefix("llm_provider-"): str(value) for name, value in headers.items()}
    exact, plain = _number(said.get("retry-after-ms")), said.get("retry-after")
    if exact is not None:
        return exact / 1000
    return _seconds_until(plain) if _number(plain) is None else _number(plain)


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _seconds_until(date: str | None) -> float | None:
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(date or "").timestamp() - time.time())
    return None
