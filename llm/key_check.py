"""Checking a provider's key before an agent depends on it: does it open the door, and is there money behind it?

Listing the models authenticates and costs nothing. It says nothing of credit, so one answer of one token is asked
for as well. What a provider says is read for what it means and then forgotten: ``detail`` is our own words, and
holds neither the key nor the provider's text.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final, Literal, Protocol

import httpx2
from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.catalogue import CUSTOM, Provider, providers
from agents.crypto import Secret
from metering import addresses
from metering.pinned import PinnedTransport

Problem = Literal[
    "", "wrong_key", "no_credit", "rate_limited", "wrong_region", "unreachable", "bad_address", "unexpected"
]

PATIENCE: Final = httpx2.Timeout(8.0)  # seconds, for each step of a call
MOST_MODELS: Final = 1000
LONGEST_MODEL: Final = 200  # as long as the column of an agent's model

_NOT_OFFERED: Final = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
_NO_SUCH_PLACE: Final = {*_NOT_OFFERED, *range(300, 400)}
_ABOUT_THE_MODEL: Final = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}

DETAILS: Final[Mapping[Problem, str | Promise]] = {
    "wrong_key": gettext_lazy(
        "%(provider)s doesn't accept this key. Copy it again from your %(provider)s account, the whole of it, and "
        "check that it hasn't been revoked there."
    ),
    "no_credit": gettext_lazy(
        "We couldn't reach %(provider)s with this key: it has no credit left. Top it up in your %(provider)s account, "
        "then check again."
    ),
    "rate_limited": gettext_lazy(
        "%(provider)s knows this key but limits how often it may be used right now. Wait a minute, then check again."
    ),
    "wrong_region": gettext_lazy(
        "%(provider)s doesn't serve the region that our servers are in. Choose another provider, or reach this one "
        "through OpenRouter."
    ),
    "unreachable": gettext_lazy(
        "We couldn't reach %(provider)s at all, so we don't know whether the key works. Try again in a moment."
    ),
    "unexpected": gettext_lazy(
        "%(provider)s answered in a way we don't understand, so we don't know whether the key works. Try again in a "
        "moment."
    ),
}
OWN_SERVER: Final[Mapping[Problem, str | Promise]] = {
    "wrong_key": gettext_lazy("Your server doesn't accept this key. Check that it's the one that the server expects."),
    "no_credit": gettext_lazy("Your server says that this key has no credit left. Top it up, then check again."),
    "rate_limited": gettext_lazy(
        "Your server knows this key but limits how often it may be used right now. Wait a minute, then check again."
    ),
    "wrong_region": gettext_lazy("Your server doesn't serve the region that we are in. Choose another provider."),
    "unreachable": gettext_lazy(
        "We couldn't reach your server. Check the Base URL, and that the server can be reached from outside."
    ),
    "bad_address": gettext_lazy(
        "A server answers, but not as a model would at this address. Check the Base URL: most of them end in /v1."
    ),
    "unexpected": gettext_lazy(
        "Your server answered in a way we don't understand, so we don't know whether the key works."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCheck:
    """What came of a check. ``detail`` is for people, in their language; ``models`` are those the key can use."""

    ok: bool
    problem: Problem
    detail: str
    models: list[str]


class Refused(Exception):
    """The provider answered, and it wasn't what we hoped for."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class NoAnswer(Exception):
    """The provider gave none: refused, reset, or too slow."""


def check_key(
    *,
    provider: str,
    secret: Secret,
    base_url: str = "",
    model: str = "",
    resolver: addresses.Resolver = addresses.resolve,
) -> KeyCheck:
    """Try a key at its provider and say what is wrong with it, if anything. Takes up to half a minute.

    ``base_url`` is that of a Custom endpoint. ``model`` is what the agent will use, if that is known already.
    """
    row = providers()[provider]
    where = base_url.rstrip("/") if provider == CUSTOM else settings.PROVIDER_BASE_URL(provider, row.base_url)
    if not (secret.reveal().isascii() and secret.reveal().isprintable()) or not (secret or provider == CUSTOM):
        return _problem("wrong_key", row)
    try:
        transport = _transport(provider, where, resolver)
    except addresses.AddressRefused as refused:
        return KeyCheck(ok=False, problem="bad_address", detail=refused.message, models=[])
    with httpx2.Client(transport=transport, trust_env=False, timeout=PATIENCE, follow_redirects=False) as http:
        speaker: Speaker = (_Anthropic if provider == "anthropic" else _OpenAI)(provider, secret, where, http)
        return _check(row, speaker, model)


def _transport(provider: str, base_url: str, resolver: addresses.Resolver) -> httpx2.BaseTransport:
    if provider != CUSTOM:
        return httpx2.HTTPTransport(trust_env=False)
    return PinnedTransport(addresses.check(base_url, allow_private=settings.ALLOW_PRIVATE_ENDPOINTS, resolver=resolver))


# --- What to ask, in which order ----------------------------------------------------------------


def _check(row: Provider, speaker: "Speaker", model: str) -> KeyCheck:
    try:
        models = _listed(speaker)
        speaker.authenticate()
    except Refused as refused:
        return _problem(problem_of(refused.status, refused.body), row)
    except NoAnswer:
        return _problem("unreachable", row)
    chosen = model or _suggestion(row, models)
    if not chosen:
        return KeyCheck(
            ok=False,
            problem="unexpected",
            detail=_("This server answers, but doesn't say which models it has. Type the model's name, then check."),
            models=[],
        )
    return _funded(row, speaker, chosen, models)


def _listed(speaker: "Speaker") -> list[str] | None:
    """Return the models, or None from a server that has no such list."""
    try:
        return speaker.models()
    except Refused as refused:
        if refused.status in _NOT_OFFERED:
            return None
        raise


def _suggestion(row: Provider, models: list[str] | None) -> str:
    if not models:
        return next(iter(row.models), "")
    return next((each for each in row.models if each in models), models[0])


def _funded(row: Provider, speaker: "Speaker", model: str, models: list[str] | None) -> KeyCheck:
    """Ask for one token. Where the list came, the key is good, and only money, limits or region may be missing."""
    works = KeyCheck(ok=True, problem="", detail=_("The key works."), models=models or [])
    try:
        speaker.complete(model)
    except NoAnswer:
        if models is None:
            return _problem("unreachable", row)
        return _but(works, _("The key works. The model %(model)s was too slow to try."), model)
    except Refused as refused:
        problem = problem_of(refused.status, refused.body)
        if models is None or problem in {"no_credit", "rate_limited", "wrong_region"}:
            return _problem(problem, row)
        if refused.status in _ABOUT_THE_MODEL:
            return _but(works, _("The key works, but it can't use the model %(model)s. Pick another one."), model)
        return _problem("unexpected" if problem == "wrong_key" else problem, row)
    return works


def _but(works: KeyCheck, detail: str, model: str) -> KeyCheck:
    return replace(works, detail=detail % {"model": model})


def _problem(problem: Problem, row: Provider) -> KeyCheck:
    if row.id == CUSTOM:
        return KeyCheck(ok=False, problem=problem, detail=str(OWN_SERVER[problem]), models=[])
    # The addresses of known providers aren't the customer's to correct.
    problem = "unexpected" if problem == "bad_address" else problem
    return KeyCheck(ok=False, problem=problem, detail=str(DETAILS[problem]) % {"provider": row.name}, models=[])


# --- What an answer means -----------------------------------------------------------------------

# Words that a provider uses for one thing alone. "Credit" or "billing" by themselves appear in harmless errors too.
_NO_CREDIT: Final = (
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "credit balance is too low",
    "insufficient balance",
    "insufficient_balance",
    "insufficient credits",
)
_WRONG_REGION: Final = ("unsupported_country_region_territory", "country, region, or territory not supported")
_MINIMAX: Final[Mapping[int, Problem]] = {
    1002: "rate_limited",
    1004: "wrong_key",
    1008: "no_credit",
    1039: "rate_limited",
    2049: "wrong_key",
}


def problem_of(status: int, body: object) -> Problem:
    """Return what a provider's answer means. The body decides before the status: providers disagree on statuses."""
    words = json.dumps(body, ensure_ascii=False, default=str).lower()
    if minimax := _MINIMAX.get(_minimax_code(body)):
        return minimax
    if status == HTTPStatus.PAYMENT_REQUIRED or any(each in words for each in _NO_CREDIT):
        return "no_credit"
    # Anthropic's words for a country that it doesn't serve are a bare 403 "Request not allowed".
    bare_refusal = status == HTTPStatus.FORBIDDEN and "request not allowed" in words
    if bare_refusal or any(each in words for each in _WRONG_REGION):
        return "wrong_region"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return "wrong_key"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limited"
    if status in _NO_SUCH_PLACE:
        return "bad_address"
    return "unexpected"


def _minimax_code(body: object) -> int:
    base = body.get("base_resp") if isinstance(body, dict) else None
    code = base.get("status_code") if isinstance(base, dict) else None
    return code if isinstance(code, int) else 0


# --- How to ask ---------------------------------------------------------------------------------


class Speaker(Protocol):
    """Asks one provider, through its SDK. Every method raises ``Refused`` or ``NoAnswer``."""

    def models(self) -> list[str]:
        """List what the key can use."""
        ...

    def authenticate(self) -> None:
        """Make sure of the key where listing models doesn't."""
        ...

    def complete(self, model: str) -> None:
        """Ask for one token."""
        ...


class _OpenAI:
    def __init__(self, provider: str, secret: Secret, base_url: str, http: httpx2.Client) -> None:
        import openai  # takes a second, as does the other: only where somebody checks a key

        self._provider = provider
        # Our own account, should the environment name one, is nobody else's business.
        headers: Any = {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
        if not secret:
            # A server of one's own may ask for no key; the SDK insists on one.
            http.event_hooks = {"request": [_without_authorization]}
        key = secret.reveal() or "none"
        self._sdk = openai.OpenAI(
            api_key=key, base_url=base_url, http_client=http, max_retries=0, timeout=PATIENCE, default_headers=headers
        )

    def models(self) -> list[str]:
        with _in_our_terms():
            return _ids(self._sdk.models.with_raw_response.list().http_response)

    def authenticate(self) -> None:
        if self._provider != "openrouter":
            return
        # OpenRouter lists its models to anybody.
        with _in_our_terms():
            answer = _body(self._sdk.get("/key", cast_to=httpx2.Response))
        data = answer.get("data") if isinstance(answer, dict) else None
        left = data.get("limit_remaining") if isinstance(data, dict) else None
        if isinstance(left, int | float) and left <= 0:
            raise Refused(HTTPStatus.PAYMENT_REQUIRED, {})

    def complete(self, model: str) -> None:
        limit: dict[str, Any] = {"max_completion_tokens" if self._provider == "openai" else "max_tokens": 1}
        with _in_our_terms():
            raw = self._sdk.chat.completions.with_raw_response.create(
                model=model, messages=[{"role": "user", "content": "Hi"}], **limit
            )
            body = _body(raw.http_response)
            _raise_hidden_error(body)
            if not (isinstance(body, dict) and body.get("choices")):
                raise Refused(HTTPStatus.NOT_FOUND, {})


def _without_authorization(request: httpx2.Request) -> None:
    del request.headers["authorization"]


class _Anthropic:
    def __init__(self, _provider: str, secret: Secret, base_url: str, http: httpx2.Client) -> None:
        import anthropic

        self._sdk = anthropic.Anthropic(
            api_key=secret.reveal(), base_url=base_url, http_client=http, max_retries=0, timeout=PATIENCE
        )

    def models(self) -> list[str]:
        with _in_our_terms():
            return _ids(self._sdk.models.with_raw_response.list(limit=MOST_MODELS).http_response)

    def authenticate(self) -> None:
        return

    def complete(self, model: str) -> None:
        with _in_our_terms():
            self._sdk.messages.with_raw_response.create(
                model=model, max_tokens=1, messages=[{"role": "user", "content": "Hi"}]
            )


@contextmanager
def _in_our_terms() -> Iterator[None]:
    """Turn both SDKs' errors, whose text may quote the key, into ours."""
    import anthropic
    import openai

    try:
        yield
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        raise Refused(error.status_code, _body(error.response)) from None
    except (openai.APIConnectionError, anthropic.APIConnectionError, httpx2.TransportError):
        raise NoAnswer from None
    except (openai.OpenAIError, anthropic.AnthropicError, httpx2.InvalidURL):
        raise Refused(0, {}) from None


def _ids(response: httpx2.Response) -> list[str]:
    body = _body(response)
    _raise_hidden_error(body)
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise Refused(HTTPStatus.NOT_FOUND, {})  # some website answers 200 to everything: as good as no list
    ids = [row.get("id") for row in rows if isinstance(row, dict)]
    return [each for each in ids if isinstance(each, str) and each and len(each) <= LONGEST_MODEL][:MOST_MODELS]


def _raise_hidden_error(body: object) -> None:
    # MiniMax and OpenRouter put some errors into an answer of status 200.
    if not isinstance(body, dict):
        raise Refused(HTTPStatus.NOT_FOUND, {})
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if error or _minimax_code(body):
        raise Refused(code if isinstance(code, int) else 0, body)


def _body(response: httpx2.Response) -> object:
    try:
        return json.loads(response.text)
    except ValueError:
        return None
