"""What people are told about the key they pasted. Each provider's answers are as it documents or gives them."""

import logging

import pytest

from agents.crypto import Secret
from llm.key_check import check_key, problem_of
from tests.backends import free_port
from tests.llm.provider_server import provider_server

KEY = Secret("sk-alex-0123456789-wxyz")
MODELS = (200, {"object": "list", "data": [{"id": "gpt-4o-mini"}, {"id": "gpt-4o"}, {"id": "o9-unheard-of"}]})
ANSWER = (200, {"id": "1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "H"}}]})
CLAUDE = (200, {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 1}})


def error(message, *, code=None, kind=None):
    return {"error": {"message": message, "type": kind, "code": code, "param": None}}


@pytest.fixture
def reaching(settings):
    """Point every provider at an address."""

    def point(url):
        settings.PROVIDER_BASE_URL = lambda provider, default: url

    return point


def check(reaching, provider, answers, **options):
    with provider_server(answers) as server:
        reaching(server.url)
        result = check_key(provider=provider, secret=KEY, **options)
    assert KEY.reveal() not in repr(result)
    return result, server


def test_alex_pastes_a_good_key_and_sees_its_models(reaching):
    result, server = check(reaching, "openai", {"/models": MODELS, "/chat/completions": ANSWER})
    assert (result.ok, result.problem, result.detail) == (True, "", "The key works.")
    assert result.models == ["gpt-4o-mini", "gpt-4o", "o9-unheard-of"]
    assert server.asked[0][1]["authorization"] == f"Bearer {KEY.reveal()}"
    assert b'"max_completion_tokens":1' in server.asked[1][2]


def test_anthropic_is_asked_in_its_own_words(reaching):
    answers = {"/v1/models": (200, {"data": [{"id": "claude-haiku-4-5"}]}), "/v1/messages": CLAUDE}
    result, server = check(reaching, "anthropic", answers)
    assert (result.ok, result.models) == (True, ["claude-haiku-4-5"])
    assert b'"claude-haiku-4-5"' in server.asked[1][2]


REFUSALS = [
    ("openai", 401, error(f"Incorrect API key provided: {KEY.reveal()}", code="invalid_api_key"), "wrong_key"),
    ("openai", 403, error("Not here", code="unsupported_country_region_territory"), "wrong_region"),
    ("openai", 429, error("You exceeded your current quota", code="insufficient_quota"), "no_credit"),
    ("openai", 429, error("Rate limit reached for gpt-4o", code="rate_limit_exceeded"), "rate_limited"),
    ("openai", 500, error("The server had an error", kind="server_error"), "unexpected"),
    ("groq", 401, error("Invalid API Key", code="invalid_api_key"), "wrong_key"),
    ("mistral", 401, {"message": "Unauthorized", "request_id": "1"}, "wrong_key"),
    ("mistral", 402, {"message": "Payment required"}, "no_credit"),
    ("openrouter", 402, error("Insufficient credits", code=402), "no_credit"),
    ("minimax", 500, error("insufficient balance (1008)", kind="api_error"), "no_credit"),
    ("minimax", 200, {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "no_credit"),
    ("minimax", 200, {"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, "wrong_key"),
    ("minimax", 200, {"base_resp": {"status_code": 2049, "status_msg": "invalid api key"}}, "wrong_key"),
]


@pytest.mark.parametrize(("provider", "status", "body", "problem"), REFUSALS)
def test_a_key_that_the_list_refuses(reaching, provider, status, body, problem):
    result, server = check(reaching, provider, {"/models": (status, body), "/chat/completions": ANSWER})
    assert (result.ok, result.problem, result.models) == (False, problem, [])
    assert server.paths() == ["/models"]


FUNDS = [
    ("openai", 429, error("You exceeded your current quota", code="insufficient_quota"), "no_credit"),
    ("openai", 403, error("Not here", code="unsupported_country_region_territory"), "wrong_region"),
    ("openai", 429, error("Rate limit reached", code="rate_limit_exceeded"), "rate_limited"),
    ("groq", 503, error("Service Unavailable"), "unexpected"),
    ("mistral", 402, {"detail": "no funds"}, "no_credit"),
    ("minimax", 500, error("insufficient balance (1008)"), "no_credit"),
    ("minimax", 200, {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "no_credit"),
]


@pytest.mark.parametrize(("provider", "status", "body", "problem"), FUNDS)
def test_a_key_that_lists_models_but_cannot_pay(reaching, provider, status, body, problem):
    result, _ = check(reaching, provider, {"/models": MODELS, "/chat/completions": (status, body)})
    assert (result.ok, result.problem) == (False, problem)


def test_alex_is_told_to_top_up_mistral(reaching):
    result, _ = check(reaching, "mistral", {"/models": MODELS, "/chat/completions": (402, {"message": "Pay first"})})
    assert result.detail == (
        "We couldn't reach Mistral with this key: it has no credit left. "
        "Top it up in your Mistral account, then check again."
    )


CLAUDE_SAYS = [
    ("/v1/models", 401, "authentication_error", "invalid x-api-key", "wrong_key"),
    ("/v1/models", 403, "forbidden", "Request not allowed", "wrong_region"),
    ("/v1/models", 529, "overloaded_error", "Overloaded", "unexpected"),
    ("/v1/messages", 400, "invalid_request_error", "Your credit balance is too low to use this API.", "no_credit"),
    ("/v1/messages", 403, "forbidden", "Request not allowed", "wrong_region"),
    ("/v1/messages", 429, "rate_limit_error", "This request would exceed your rate limit", "rate_limited"),
    ("/v1/messages", 529, "overloaded_error", "Overloaded", "unexpected"),
]


@pytest.mark.parametrize("case", CLAUDE_SAYS)
def test_what_anthropic_says(reaching, case):
    step, status, kind, message, problem = case
    answers = {"/v1/models": (200, {"data": [{"id": "claude-haiku-4-5"}]}), "/v1/messages": CLAUDE}
    answers[step] = (status, {"type": "error", "error": {"type": kind, "message": message}})
    result, _ = check(reaching, "anthropic", answers)
    assert (result.ok, result.problem) == (False, problem)
    assert message not in result.detail


def test_openrouter_lists_its_models_to_anybody_so_the_key_itself_is_asked_about(reaching):
    answers = {"/models": MODELS, "/key": (401, error("User not found.", code=401)), "/chat/completions": ANSWER}
    result, _ = check(reaching, "openrouter", answers)
    assert (result.ok, result.problem) == (False, "wrong_key")


def test_an_openrouter_key_at_its_limit_has_no_credit(reaching):
    answers = {"/models": MODELS, "/key": (200, {"data": {"limit": 5, "limit_remaining": 0}})}
    assert check(reaching, "openrouter", answers)[0].problem == "no_credit"


def test_an_openrouter_key_without_a_limit_works(reaching):
    answers = {"/models": MODELS, "/key": (200, {"data": {"limit_remaining": None}}), "/chat/completions": ANSWER}
    assert check(reaching, "openrouter", answers)[0].ok


def test_openrouter_hides_an_error_in_an_answer_of_status_200(reaching):
    hidden = (200, error("Insufficient credits", code=402))
    answers = {"/models": MODELS, "/key": (200, {"data": {}}), "/chat/completions": hidden}
    assert check(reaching, "openrouter", answers)[0].problem == "no_credit"


def test_a_good_key_whose_model_is_not_for_it_still_works(reaching):
    refusal = (404, error("The model `gpt-9` does not exist", code="model_not_found"))
    result, _ = check(reaching, "openai", {"/models": MODELS, "/chat/completions": refusal}, model="gpt-9")
    assert result.ok
    assert result.detail == "The key works, but it can't use the model gpt-9. Pick another one."
    assert "gpt-4o" in result.models


def test_nobody_answers(reaching):
    reaching(f"http://127.0.0.1:{free_port()}")
    result = check_key(provider="groq", secret=KEY)
    assert (result.ok, result.problem) == (False, "unreachable")
    assert "Groq" in result.detail


@pytest.mark.parametrize("secret", ["", "sk-é-0123456789", "sk-line\nbreak"])
def test_what_no_header_can_carry_is_no_key(secret):
    assert check_key(provider="openai", secret=Secret(secret)).problem == "wrong_key"


def test_a_mention_of_credit_is_not_a_lack_of_it():
    assert problem_of(429, error("Slow down. Credit card customers have higher limits.")) == "rate_limited"


# --- Custom endpoints ---------------------------------------------------------------------------


def custom(answers, *, path="", **options):
    with provider_server(answers) as server:
        result = check_key(provider="custom", secret=KEY, base_url=server.url + path, **options)
    return result, server


def test_ollama_on_this_machine():
    answers = {"/v1/models": (200, {"data": [{"id": "llama3.2"}]}), "/v1/chat/completions": ANSWER}
    result, _ = custom(answers, path="/v1/")
    assert (result.ok, result.models) == (True, ["llama3.2"])


def test_a_server_without_a_list_is_tried_with_the_model():
    result, server = custom({"/v1/chat/completions": ANSWER}, path="/v1", model="llama3.2")
    assert (result.ok, result.models) == (True, [])
    assert server.paths() == ["/v1/models", "/v1/chat/completions"]


def test_a_server_without_a_list_needs_a_model_to_be_tried():
    result, _ = custom({"/v1/chat/completions": ANSWER}, path="/v1")
    assert (result.ok, result.problem) == (False, "unexpected")


def test_the_wrong_path_is_a_bad_address():
    result, _ = custom({"/v1/chat/completions": ANSWER}, model="llama3.2")
    assert (result.ok, result.problem) == (False, "bad_address")


def test_a_website_that_welcomes_everything_is_a_bad_address():
    page = (200, b"<html>Welcome</html>")
    result, _ = custom({"/models": page, "/chat/completions": page}, model="llama3.2")
    assert (result.ok, result.problem) == (False, "bad_address")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status):
    result, server = custom({"/models": (status, {}), "/chat/completions": (status, {})}, model="llama3.2")
    assert (result.ok, result.problem) == (False, "bad_address")
    assert "/elsewhere" not in server.paths()


def test_the_key_goes_to_the_address_that_was_checked_under_the_name_that_was_given():
    answers = {"/v1/models": (200, {"data": [{"id": "llama3.2"}]}), "/v1/chat/completions": ANSWER}
    with provider_server(answers) as server:
        url = f"http://llm.example.com:{server.server_port}/v1"
        result = check_key(provider="custom", secret=KEY, base_url=url, resolver=lambda host, port: ["127.0.0.1"])
    assert result.ok
    assert {headers["host"] for _path, headers, _body in server.asked} == {f"llm.example.com:{server.server_port}"}


def test_a_private_address_is_refused_before_anything_is_sent(settings):
    settings.ALLOW_PRIVATE_ENDPOINTS = False
    with provider_server({"/models": MODELS}) as server:
        url = f"https://llm.example.com:{server.server_port}"
        result = check_key(provider="custom", secret=KEY, base_url=url, resolver=lambda host, port: ["127.0.0.1"])
    assert (result.ok, result.problem) == (False, "bad_address")
    assert server.asked == []


def test_a_server_without_a_key_gets_none():
    answers = {"/models": (200, {"data": [{"id": "llama3.2"}]}), "/chat/completions": ANSWER}
    with provider_server(answers) as server:
        assert check_key(provider="custom", secret=Secret(""), base_url=server.url).ok
    assert all("authorization" not in headers for _path, headers, _body in server.asked)


def test_neither_logs_nor_our_own_account_are_given_away(reaching, caplog, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-ours")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-ours")
    refusal = (401, error(f"Incorrect API key provided: {KEY.reveal()}"))
    with caplog.at_level(logging.DEBUG):
        _, server = check(reaching, "openai", {"/models": refusal})
    assert KEY.reveal() not in caplog.text
    assert not any(name.startswith("openai-") for name in server.asked[0][1])
