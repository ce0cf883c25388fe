"""A dry run: where a request of a tier would go at this moment, and why not elsewhere, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agents.catalogue import providers
from llm import running
from llm.models import PoolKey, Route
from llm.pool import Arrangement, arranged
from llm.routing import Explained, Verdict

ALWAYS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One way: ``turn`` is when it's tried (None: it isn't), ``key`` the key's name and hint."""

    turn: int | None
    provider: str
    model: str
    key: str
    why: str


def dry_run(tier: str) -> list[Line]:
    """Return the ways of a tier: those that a request would take, in order, and then those passed over."""
    arrangement = arranged()
    keys = {str(key.pk): key for key in PoolKey.objects.defer("sealed_secret")}
    health = running.overview().condition.keys
    reasons = {key_id: condition.reason for key_id, condition in health.items()}
    lines, turn = [], 0
    for each in running.explain(tier=tier, arrangement=arrangement):
        turn += each.verdict.goes
        lines.append(_line(each, turn=turn if each.verdict.goes else None, keys=keys, reasons=reasons))
    return lines + _out_of_use(tier, arrangement, keys)


def _line(each: Explained, *, turn: int | None, keys: Mapping[str, PoolKey], reasons: Mapping[str, str]) -> Line:
    key = keys.get(each.key.id) if each.key else None
    return Line(
        turn=turn,
        provider=_name(each.route.provider),
        model=each.route.model,
        key=f"{key.name} {key.hint}" if key else "",
        why=_why(each, reason=reasons.get(each.key.id, "") if each.key else ""),
    )


def _why(each: Explained, *, reason: str) -> str:
    provider, seconds = _name(each.route.provider), round(each.seconds)
    match each.verdict:
        case Verdict.TAKEN if each.share < ALWAYS:
            return _("Comes first of its route's keys %(share)d %% of the time.") % {"share": round(100 * each.share)}
        case Verdict.TAKEN:
            return _("The only key of its route that can be used.")
        case Verdict.LAST_RESORT:
            return _("Nothing better is left, so it is tried all the same.")
        case Verdict.FULL:
            places = each.key.places if each.key else 0
            return ngettext("Its %(count)d place is taken.", "All of its %(count)d places are taken.", places) % {
                "count": places
            }
        case Verdict.COOLING:
            return _("Cooling for %(seconds)d s more: %(reason)s.") % {"seconds": seconds, "reason": reason or "–"}
        case Verdict.DOWN:
            return _("%(provider)s is in trouble: passed over for %(seconds)d s more.") % {
                "provider": provider,
                "seconds": seconds,
            }
        case Verdict.NO_KEY:
            return _("There is no key for %(provider)s.") % {"provider": provider}


def _out_of_use(tier: str, arrangement: Arrangement, keys: Mapping[str, PoolKey]) -> list[Line]:
    """Return what isn't arranged at all: routes and keys that are switched off, keys that don't open."""
    lines = [
        Line(turn=None, provider=_name(route.provider), model=route.model, key="", why=_("The route is switched off."))
        for route in Route.objects.filter(tier=tier, enabled=False)
    ]
    asked = {route.provider for route in arrangement.routes.get(tier, ())}
    for key in keys.values():
        if key.provider in asked and str(key.pk) not in arrangement.secrets:
            why = _("It can't be opened: it was sealed with a key that we no longer have.")
            why = why if key.enabled else _("The key is switched off.")
            lines.append(Line(turn=None, provider=_name(key.provider), model="", key=f"{key.name} {key.hint}", why=why))
    return lines


def _name(provider: str) -> str:
    known = providers().get(provider)
    return known.name if known else provider
