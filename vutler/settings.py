"""Django settings, by topic. Values from outside come through ``vutler.env``."""

from typing import Any

import structlog
from csp.constants import NONCE, NONE, SELF
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from metering.mongodb_urls import is_mongodb
from vutler import env
from vutler.logs import render_exception

BASE_DIR = env.BASE_DIR
VAR_DIR = env.VAR_DIR
DEBUG = env.DEBUG
SECRET_KEY = env.SECRET_KEY
ALLOWED_HOSTS = env.ALLOWED_HOSTS
CSRF_TRUSTED_ORIGINS = env.CSRF_TRUSTED_ORIGINS

# --- Applications -----------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "vutler.apps.StaffAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "axes",
    "csp",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "lucide",
    "rest_framework",
    "agents",
    "metering",
    "billing",
    "llm",
    "custody",
]

MIDDLEWARE = [
    "vutler.request_log.request_log",
    "django.middleware.security.SecurityMiddleware",
    "vutler.static_files.StaticFiles",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "vutler.urls"
ASGI_APPLICATION = "vutler.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "agents.access.page_context",
                "billing.banner.page_context",
            ],
        },
    }
]

FORM_RENDERER = "agents.forms.renderer.Renderer"

# --- Databases --------------------------------------------------------------------------------

DATABASES: dict[str, Any] = {"default": env.env.db_url_config(env.DATABASE_URL)}
METER_MONGODB_URL = env.METER_DATABASE_URL if is_mongodb(env.METER_DATABASE_URL) else ""
if not METER_MONGODB_URL and env.METER_DATABASE_URL != env.DATABASE_URL:
    DATABASES["meter"] = env.env.db_url_config(env.METER_DATABASE_URL)
for _database in DATABASES.values():
    if _database["ENGINE"] == "django.db.backends.sqlite3":
        # Several threads and processes write: wait for the lock instead of failing, and let readers go on.
        _database["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
    else:
        _database["CONN_MAX_AGE"] = 60
        _database["CONN_HEALTH_CHECKS"] = True
        # A server that vanished without a word is noticed after half a minute, not after two hours.
        _vigilant = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4}
        _database["OPTIONS"] = {**_vigilant, "tcp_user_timeout": 30_000, **_database.get("OPTIONS", {})}
METER_DATABASE = "meter" if "meter" in DATABASES else "default"
DATABASE_ROUTERS = ["metering.store.router.MeterRouter"]

# --- People -----------------------------------------------------------------------------------

AUTH_USER_MODEL = "agents.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/agents/"
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "optional"
ACCOUNT_ADAPTER = "agents.accounts.AccountAdapter"
ACCOUNT_FORMS = {"signup": "agents.forms.people.SignupForm"}
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_NOTIFICATIONS = True
# Guesses at second factors are limited here. Of passwords, django-axes has to see the eighth, so this comes later.
ACCOUNT_RATE_LIMITS = {"login_failed": "60/m/ip,10/300s/key"}
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if env.HTTPS else "http"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not env.HTTPS
MFA_TOTP_ISSUER = "Vutler"
MFA_FORMS = {"add_webauthn": "agents.forms.people.PasskeyForm"}
MFA_ADAPTER = "agents.second_factors.SecondFactorAdapter"

AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "agents.accounts.login_name"
AXES_LOCKOUT_TEMPLATE = "account/lockout.html"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False

# --- Safety of pages --------------------------------------------------------------------------

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.HTTPS
SESSION_COOKIE_HTTPONLY = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000 if env.HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.HTTPS
SECURE_REFERRER_POLICY = "same-origin"
# The proxy that ends TLS sends plain requests on to https (W008); whether the domain joins the browsers' preload
# list is its owner's decision (W021).
# W040: SQLite has no covering indexes, and does without.
SILENCED_SYSTEM_CHECKS = ["security.W008", "security.W021", "models.W040"]
X_FRAME_OPTIONS = "DENY"
DEFAULT_EXCEPTION_REPORTER_FILTER = "vutler.error_pages.QuietReporterFilter"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "manifest-src": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# --- Language, time ---------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("fr", _("French"))]
LANGUAGE_COOKIE_AGE = 31_536_000  # seconds: a year
LANGUAGE_COOKIE_SECURE = env.HTTPS
LANGUAGE_COOKIE_SAMESITE = "Lax"
LOCALE_PATHS = [BASE_DIR / "vutler" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

# --- Static files -----------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# --- E-mail -----------------------------------------------------------------------------------

vars().update(env.env.email_url_config(env.EMAIL_URL))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.DEFAULT_FROM_EMAIL
ADMINS = [(address, address) for address in env.ADMINS]
EMAIL_TIMEOUT = 20  # seconds
SITE_URL = env.SITE_URL

# --- Secrets at rest, providers, gateway ------------------------------------------------------

FIELD_ENCRYPTION_KEYS = env.FIELD_ENCRYPTION_KEYS
ALLOW_PRIVATE_ENDPOINTS = env.ALLOW_PRIVATE_ENDPOINTS
PROVIDER_BASE_URL = env.provider_base_url
JOURNAL_DIR = VAR_DIR / "journal"

# --- Seen from outside ------------------------------------------------------------------------

# Of the processes that answer at one address, and no others.
METRICS_DIR = VAR_DIR / "metrics" / str(env.PORT)
METRICS_TOKEN = env.METRICS_TOKEN
GATEWAY_LOG = env.GATEWAY_LOG
TRACES = bool(env.OTEL_EXPORTER_OTLP_ENDPOINT)

# --- Jobs and shared state --------------------------------------------------------------------

REDIS_URL = env.REDIS_URL
CELERY_BROKER_URL = env.REDIS_URL or "memory://"
CELERY_TASK_ALWAYS_EAGER = not env.REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CACHES: dict[str, Any] = {
    "default": {"BACKEND": "vutler.cache.SharedCache", "LOCATION": REDIS_URL, "KEY_PREFIX": "vutler"}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # its log lines are JSON like everybody's

# --- Invoices ---------------------------------------------------------------------------------

SELLER = env.SELLER
STRIPE_SECRET_KEY = env.STRIPE_SECRET_KEY
STRIPE_WEBHOOK_SECRET = env.STRIPE_WEBHOOK_SECRET
STRIPE_API_BASE = env.STRIPE_API_BASE

# --- Management API ---------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "agents.authentication.WorkspaceTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["agents.authentication.InWorkspace"],
    "DEFAULT_PAGINATION_CLASS": "agents.pagination.NewestFirst",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["agents.parsers.ShallowJSONParser"],
    "EXCEPTION_HANDLER": "agents.api_errors.handle",
    "PAGE_SIZE": 50,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Vutler LLM",
    "DESCRIPTION": "Agents, their keys and tokens, and what they use.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "ChannelEnum": "metering.models.Channel.values",
        "ExperimentStatusEnum": "llm.models.Experiment.Status",
        "InvoiceStatusEnum": "billing.models.Status",
    },
}

# --- Admin ------------------------------------------------------------------------------------

# The colours of static/css/tokens.css, as the scales that unfold draws with.
_ACCENT = ["#e8f4f2", "#d0e9e5", "#a6d6cf", "#8adbd3", "#62cbc1", "#39a49b", "#0b6966", "#084f4d"]
_ACCENT += ["#063f3d", "#14302e", "#06201e"]
_GREY = ["#f5f8f7", "#edf2f0", "#e2e8e6", "#cad4d1", "#a3b1ad", "#687773", "#54635f", "#3c4946"]
_GREY += ["#283331", "#161e1d", "#0f1514"]
_SHADES = ["50", *(str(shade) for shade in range(100, 1000, 100)), "950"]
UNFOLD = {
    "SITE_TITLE": "Vutler",
    "SITE_HEADER": "Vutler",
    "SITE_SYMBOL": "smart_toy",
    "SITE_URL": "/agents/",
    "SITE_FAVICONS": [{"rel": "icon", "href": lambda _request: static("favicon.svg"), "type": "image/svg+xml"}],
    "BORDER_RADIUS": "8px",
    "SIDEBAR": {"navigation": "vutler.staff.navigation"},
    "COLORS": {
        "primary": dict(zip(_SHADES, _ACCENT, strict=True)),
        "base": dict(zip(_SHADES, _GREY, strict=True)),
    },
}

# --- Logs: one JSON object a line, never a prompt, an answer or a key ---------------------------

if env.SENTRY_DSN:
    from vutler import sentry

    sentry.start(env.SENTRY_DSN)

_pre_chain: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
structlog.configure(
    processors=[*_pre_chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _pre_chain,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                render_exception,
                structlog.processors.JSONRenderer(),
            ],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": env.LOG_LEVEL},
    # The SDKs log request bodies at DEBUG, whatever the root level becomes.
    "loggers": {name: {"level": "WARNING"} for name in ("openai", "anthropic", "httpx2", "httpcore2", "stripe")},
}
