import base64
import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.core import mail
from django.core.cache import cache
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.test import Client

from agents import rotation
from agents.fields import key_ring
from agents.models import Role, User, Workspace
from agents.rotation import Outcome
from tests.conftest import PASSWORD

NEW_PASSWORD = "a quiet morning in june"


@pytest.fixture(autouse=True)
def _no_old_counts():
    cache.clear()


@pytest.fixture(autouse=True)
def _own_ring():
    yield
    key_ring.cache_clear()


def sign_up(client, **fields):
    form = {"email": "elena@flowers.example", "company": "Flowers", "password1": PASSWORD}
    return client.post("/accounts/signup/", {**form, **fields})


def log_in(client, email, password=PASSWORD):
    return client.post("/accounts/login/", {"login": email, "password": password})


def link_in(message: EmailMessage) -> str:
    return str(re.findall(r"https?://\S+", str(message.body))[0])


@pytest.mark.django_db
def test_signing_up_opens_a_workspace_and_makes_elena_its_owner(client):
    answer = sign_up(client)

    assert (answer.status_code, answer.url) == (302, "/agents/")
    workspace = Workspace.objects.get()
    assert workspace.name == "Flowers"
    member = workspace.memberships.get()
    assert (member.user.email, member.role) == ("elena@flowers.example", Role.OWNER)
    assert workspace.audit_entries.get().action == "workspace.created"


@pytest.mark.django_db
def test_signing_up_without_a_company_says_so_and_creates_nobody(client):
    answer = sign_up(client, company="")

    assert answer.status_code == 200
    assert 'id="id_company_error"' in answer.text
    assert 'aria-describedby="id_company_error"' in answer.text
    assert not User.objects.exists()
    assert not Workspace.objects.exists()


@pytest.mark.django_db
def test_a_weak_password_is_refused_beside_its_field(client):
    answer = sign_up(client, password1="password12")

    assert 'id="id_password1_error"' in answer.text
    assert not User.objects.exists()


def test_signing_up_twice_with_one_address_creates_nothing(client, elena):
    sign_up(client, email="Elena@elena.example")

    assert User.objects.count() == 1
    assert Workspace.objects.count() == 1


@pytest.mark.django_db
def test_the_welcome_email_confirms_the_address_and_looks_like_the_product(client):
    sign_up(client)

    message = mail.outbox[0]
    assert isinstance(message, EmailMultiAlternatives)
    assert message.to == ["elena@flowers.example"]
    page, kind = message.alternatives[0]
    assert kind == "text/html"
    assert f'href="{link_in(message)}"' in str(page)
    client.post(link_in(message))
    assert EmailAddress.objects.get(email="elena@flowers.example").verified


def test_elena_logs_in_with_her_address_in_any_case(client, elena):
    answer = log_in(client, "ELENA@elena.example")

    assert (answer.status_code, answer.url) == (302, "/agents/")


def test_elena_resets_a_forgotten_password(client, elena):
    client.post("/accounts/password/reset/", {"email": "elena@elena.example"})
    (message,) = mail.outbox
    form = client.get(link_in(message), follow=True)
    client.post(form.request["PATH_INFO"], {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})

    assert log_in(Client(), "elena@elena.example").status_code == 200
    assert log_in(Client(), "elena@elena.example", NEW_PASSWORD).status_code == 302
    assert "work any more" in Client().get(link_in(message)).text


def test_a_reset_tells_nobody_who_has_an_account(client, elena):
    known = client.post("/accounts/password/reset/", {"email": "elena@elena.example"})
    unknown = client.post("/accounts/password/reset/", {"email": "nobody@elena.example"})

    assert (known.status_code, known.url) == (unknown.status_code, unknown.url)


def test_the_eighth_wrong_password_locks_the_account_for_this_visitor(client, elena, settings):
    settings.AXES_ENABLED = True
    for _ in range(7):
        assert log_in(client, "elena@elena.example", "wrong").status_code == 200
    locked = log_in(client, "elena@elena.example", "wrong")

    assert locked.status_code == 429
    assert "Too many tries" in locked.text
    assert log_in(client, "Elena@elena.example").status_code == 429
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert log_in(elsewhere, "elena@elena.example").status_code == 302


def test_a_good_log_in_forgets_the_wrong_ones(client, elena, settings):
    settings.AXES_ENABLED = True
    for _ in range(7):
        log_in(client, "elena@elena.example", "wrong")
    log_in(client, "elena@elena.example")
    client.post("/accounts/logout/")

    assert log_in(client, "elena@elena.example", "wrong").status_code == 200


def turn_on_totp(user) -> str:
    secret: str = totp.generate_totp_secret()
    totp.TOTP.activate(user, secret)
    return secret


def code_for(secret: str) -> str:
    counter = next(iter(totp.yield_hotp_counters_from_time()))
    return str(totp.format_hotp_value(totp.hotp_value(secret, counter)))


def test_stefan_needs_the_code_of_his_phone_besides_his_password(client, stefan):
    secret = turn_on_totp(stefan.user)

    assert log_in(client, "stefan@stefan.example").url == "/accounts/2fa/authenticate/"
    assert client.get("/agents/").url.startswith("/accounts/login/")
    assert client.post("/accounts/2fa/authenticate/", {"code": "000000"}).status_code == 200
    assert client.post("/accounts/2fa/authenticate/", {"code": code_for(secret)}).url == "/agents/"


def test_a_passkey_replaces_the_password_unless_one_says_otherwise(client, stefan):
    log_in(client, "stefan@stefan.example")
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    form = client.get("/accounts/2fa/webauthn/add/")

    assert form.context["form"]["passwordless"].value() is True
    assert keeps_to_the_policy(form)


def test_codes_cant_be_guessed_forever(client, stefan):
    secret = turn_on_totp(stefan.user)
    log_in(client, "stefan@stefan.example")
    for _ in range(10):
        client.post("/accounts/2fa/authenticate/", {"code": "000000"})

    assert client.post("/accounts/2fa/authenticate/", {"code": code_for(secret)}).status_code == 200


def test_stefan_turns_on_the_app_and_its_secret_is_stored_sealed(client, stefan):
    sign_up(client, email="stefan@bank.example")
    client.post(link_in(mail.outbox[0]))
    assert client.get("/accounts/2fa/totp/activate/").url.startswith("/accounts/reauthenticate/")
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    page = client.get("/accounts/2fa/totp/activate/")
    secret = page.context["form"].secret
    client.post("/accounts/2fa/totp/activate/", {"code": code_for(secret)})

    stored = Authenticator.objects.get(type=Authenticator.Type.TOTP)
    assert secret not in str(stored.data)
    assert get_adapter().decrypt(stored.data["secret"]) == secret
    assert client.get("/settings/security/").text.count(">On<") == 1


def test_second_factors_outlive_a_change_of_the_encryption_key(client, stefan, settings):
    secret = turn_on_totp(stefan.user)
    settings.FIELD_ENCRYPTION_KEYS = [base64.urlsafe_b64encode(b"n" * 32).decode(), *settings.FIELD_ENCRYPTION_KEYS]
    key_ring.cache_clear()
    assert rotation.due() == 1
    assert [step.outcome for step in rotation.rotate()] == [Outcome.RESEALED]
    settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS[:1]
    key_ring.cache_clear()

    log_in(client, "stefan@stefan.example")
    assert client.post("/accounts/2fa/authenticate/", {"code": code_for(secret)}).url == "/agents/"


def test_a_new_address_can_be_used_once_it_is_verified(client, elena):
    log_in(client, "elena@elena.example")
    client.post("/accounts/email/", {"action_add": "", "email": "elena@new.example"})
    client.post("/accounts/email/", {"action_primary": "", "email": "elena@new.example"})
    elena.user.refresh_from_db()
    assert elena.user.email == "elena@elena.example"

    client.post(link_in(next(each for each in mail.outbox if each.to == ["elena@new.example"])))
    client.post("/accounts/email/", {"action_primary": "", "email": "elena@new.example"})
    elena.user.refresh_from_db()
    assert elena.user.email == "elena@new.example"
    assert log_in(Client(), "elena@new.example").status_code == 302


def test_nobody_takes_over_an_address_that_somebody_else_uses(client, elena, alex):
    log_in(client, "elena@elena.example")
    client.post("/accounts/email/", {"action_add": "", "email": "alex@alex.example"})
    client.post("/accounts/email/", {"action_primary": "", "email": "alex@alex.example"})
    client.post(link_in(next(each for each in mail.outbox if each.to == ["alex@alex.example"])))
    client.post("/accounts/email/", {"action_primary": "", "email": "alex@alex.example"})

    elena.user.refresh_from_db()
    assert elena.user.email == "elena@elena.example"


def test_an_address_that_somebody_signed_up_with_unverified_isnt_taken_over_either(client, elena):
    sign_up(Client(), email="elena@new.example")
    log_in(client, "elena@elena.example")
    EmailAddress.objects.create(user=elena.user, email="elena@new.example", verified=True)
    client.post("/accounts/email/", {"action_primary": "", "email": "elena@new.example"})

    elena.user.refresh_from_db()
    assert elena.user.email == "elena@elena.example"


ENTRANCES = [
    "/",
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
    "/accounts/password/reset/done/",
]
INSIDE = [
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/reauthenticate/",
    "/accounts/2fa/",
    "/accounts/2fa/webauthn/",
    "/settings/security/",
]


def keeps_to_the_policy(answer) -> bool:
    inline_script = re.search(r"<script(?![^>]*\b(src|type=\"application/json\"))", answer.text)
    return not inline_script and not re.search(r"\sstyle=|\son\w+=", answer.text)


@pytest.mark.django_db
@pytest.mark.parametrize("url", ENTRANCES)
def test_pages_before_logging_in_are_ours_and_have_nothing_inline(client, url):
    answer = client.get(url)

    assert 'href="/static/css/app.css"' in answer.text
    assert keeps_to_the_policy(answer)


@pytest.mark.parametrize("url", INSIDE)
def test_account_pages_are_ours_and_have_nothing_inline(client, elena, url):
    log_in(client, "elena@elena.example")
    answer = client.get(url)

    assert answer.status_code == 200
    assert 'href="/static/css/app.css"' in answer.text
    assert keeps_to_the_policy(answer)


@pytest.mark.django_db
def test_the_language_is_remembered(client):
    client.post("/language/", {"language": "fr", "next": "/"})

    assert '<html lang="fr"' in client.get("/").text


@pytest.mark.django_db
def test_the_theme_is_remembered_and_forgotten(client):
    client.post("/theme/", {"theme": "dark", "next": "/accounts/login/"})
    assert 'data-theme="dark"' in client.get("/").text

    client.post("/theme/", {"theme": ""})
    assert "data-theme" not in client.get("/").text


@pytest.mark.django_db
def test_the_theme_sends_nobody_elsewhere(client):
    assert client.post("/theme/", {"theme": "dark", "next": "https://evil.example/"}).url == "/"
