"""The environment, read once: every variable of ``docs/run.md`` and nothing else.

Settings import from here; nothing else reads ``os.environ``.
"""

from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from metering.mongodb_urls import HINT, is_mongodb, usable

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()


def mongodb_checked(url: str) -> str:
    """Return ``url``, having made sure, if it is MongoDB's, that it can be used.

    Raises:
        ImproperlyConfigured: when it can't. What is wrong in it isn't repeated: it may be a part of the password.
    """
    if is_mongodb(url) and not usable(url):
        raise ImproperlyConfigured(f"METER_DATABASE_URL can't be used. {HINT}")
    return url


DEBUG: bool = env.bool("DEBUG", default=False)
VAR_DIR: Path = Path(env.str("VAR_DIR", default="") or BASE_DIR / "var").resolve()
VAR_DIR.mkdir(parents=True, exist_ok=True)

DATABASE_URL: str = env.str("DATABASE_URL", default="") or f"sqlite:///{VAR_DIR / 'vutler.sqlite3'}"
METER_DATABASE_URL: str = mongodb_checked(env.str("METER_DATABASE_URL", default="")) or DATABASE_URL
REDIS_URL: str = env.str("REDIS_URL", default="")

ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
ALLOW_PRIVATE_ENDPOINTS: bool = env.bool("ALLOW_PRIVATE_ENDPOINTS", default=False)

EMAIL_URL: str = env.str("EMAIL_URL", default="consolemail://")
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="Vutler <hello@localhost>")
ADMINS: list[str] = env.list("ADMINS", default=[])  # who looks after all this

# Who sells, as invoices say it. Lines of the address are separated by \n.
SELLER: dict[str, str] = {
    "name": env.str("SELLER_NAME", default="Vutler"),
    "address": env.str("SELLER_ADDRESS", default="", multiline=True),
    "country": env.str("SELLER_COUNTRY", default="").upper(),
    "vat_number": env.str("SELLER_VAT_NUMBER", default=""),
    "registration": env.str("SELLER_REGISTRATION", default=""),
    "email": env.str("SELLER_EMAIL", default="billing@localhost"),
}

# Who takes payments. Without a key nobody does, and staff mark invoices as paid.
STRIPE_SECRET_KEY: str = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_WEBHOOK_SECRET: str = env.str("STRIPE_WEBHOOK_SECRET", default="")
STRIPE_API_BASE: str = env.str("STRIPE_API_BASE", default="").rstrip("/")

# How it is seen from outside.
LOG_LEVEL: str = (env.str("LOG_LEVEL", default="") or "INFO").upper()
GATEWAY_LOG: bool = env.bool("GATEWAY_LOG", default=True)
METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")
SENTRY_DSN: str = env.str("SENTRY_DSN", default="")
# The SDK reads this one, and its other variables, by itself.
OTEL_EXPORTER_OTLP_ENDPOINT: str = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default="")

# Where `make serve` listens.
HOST: str = env.str("HOST", default="") or "127.0.0.1"
PORT: int = int(env.str("PORT", default="") or 8000)
WORKERS: int = int(env.str("WORKERS", default="") or 1)
# Who may say, in X-Forwarded-For and X-Forwarded-Proto, where a request came from: addresses or networks.
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", default=["127.0.0.1", "::1"])

# The scheme that visitors use. Links in e-mails and the Secure flag of cookies follow it.
HTTPS: bool = env.bool("HTTPS", default=not DEBUG)

# Where the pages are, for links in e-mails that no request asked for.
SITE_URL: str = (
    env.str("SITE_URL", default="")
    or next((origin for origin in CSRF_TRUSTED_ORIGINS if "*" not in origin), "")
    or f"{'https' if HTTPS else 'http'}://{ALLOWED_HOSTS[0].lstrip('.*')}"
).rstrip("/")


def required(name: str, *, hint: str) -> str:
    """Return the variable ``name``, or refuse to start with a message that says what to do.

    Raises:
        ImproperlyConfigured: when the variable is missing or empty.
    """
    value: str = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. {hint}")
    return value


SECRET_KEY: str = required(
    "SECRET_KEY",
    hint='Set it to a long random string, for example: python -c "import secrets; print(secrets.token_urlsafe(64))". '
    "`make run` makes one for you in VAR_DIR.",
)
FIELD_ENCRYPTION_KEYS: list[str] = [
    key.strip()
    for key in required(
        "FIELD_ENCRYPTION_KEYS",
        hint="It seals the providers' keys at rest. Make one with: "
        'python -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())". '
        "`make run` makes one for you in VAR_DIR.",
    ).split(",")
    if key.strip()
]


def provider_base_url(provider: str, default: str) -> str:
    """Return where ``provider`` is reached: ``<PROVIDER>_BASE_URL`` or its own address."""
    url: str = env.str(f"{provider.upper()}_BASE_URL", default="") or default
    return url.rstrip("/")
