"""What the audit trail's entries say in words. One line an action; the target and details fill it in."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

SENTENCES = {
    "workspace.created": _("opened the workspace %(target)s"),
    "workspace.renamed": _("renamed the workspace from %(was)s to %(target)s"),
    "workspace.closed": _("deleted the workspace %(target)s"),
    "requests.kept": _("chose to keep requests for %(months)s months (before: %(was)s)"),
    "data.taken": _("downloaded all data of the workspace"),
    "member.invited": _("invited %(target)s as %(role)s"),
    "member.uninvited": _("withdrew the invitation of %(target)s"),
    "member.joined": _("joined as %(role)s"),
    "member.role": _("changed the role of %(target)s from %(was)s to %(role)s"),
    "member.removed": _("removed %(target)s, who was %(role)s"),
    "agent.created": _("created the agent %(target)s"),
    "agent.paused": _("paused the agent %(target)s"),
    "agent.resumed": _("resumed the agent %(target)s"),
    "agent.deleted": _("deleted the agent %(target)s"),
    "plan.chosen": _("put the agent %(target)s on the plan %(plan)s"),
    "plan.raised": _("moved the agent %(target)s up from %(was)s to %(plan)s"),
    "plan.lowered": _("moved the agent %(target)s down from %(was)s to %(plan)s, from %(on)s on"),
    "plan.left": _("ended the plan %(was)s of the agent %(target)s from %(on)s on"),
    "plan.kept": _("kept the agent %(target)s on the plan %(plan)s"),
    "ceiling.changed": _("changed the limit for extra use of the agent %(target)s from %(was)s to %(ceiling)s"),
    "pace.changed": _("limited the agent %(target)s to %(pace)s requests and tokens a minute (before: %(was)s)"),
    "pace.allowed": _("allowed the agent %(target)s %(pace)s requests and tokens a minute (before: %(was)s)"),
    "key.saved": _("saved the key %(target)s"),
    "key.replaced": _("replaced the key %(was)s with %(target)s"),
    "key.attached": _("gave the agent %(target)s the key %(key)s"),
    "key.detached": _("took the key %(key)s from the agent %(target)s"),
    "key.deleted": _("deleted the key %(target)s"),
    "backup.chosen": _("gave the agent %(target)s the backup key %(key)s"),
    "backup.dropped": _("took the backup key %(key)s from the agent %(target)s"),
    "experiment.started": _("started the experiment %(target)s on the agent %(agent)s"),
    "experiment.paused": _("paused the experiment %(target)s"),
    "experiment.resumed": _("resumed the experiment %(target)s"),
    "experiment.ended": _("ended the experiment %(target)s"),
    "experiment.adopted": _("adopted %(arm)s, a side of the experiment %(target)s"),
    "experiment.deleted": _("deleted the experiment %(target)s"),
    "token.created": _("made the token %(target)s %(name)s"),
    "token.revoked": _("revoked the token %(target)s %(name)s"),
    "alert.created": _("set up the alert “%(target)s” (%(channels)s)"),
    "alert.changed": _("changed the alert “%(target)s” (%(channels)s)"),
    "alert.paused": _("paused the alert “%(target)s”"),
    "alert.resumed": _("resumed the alert “%(target)s”"),
    "alert.deleted": _("deleted the alert “%(target)s”"),
    "invoice.issued": _("issued the invoice %(target)s of %(total)s"),
    "invoice.paid": _("marked the invoice %(target)s as paid"),
    "invoice.void": _("took the invoice %(target)s back: %(reason)s"),
    "invoice.uncollectible": _("gave up the invoice %(target)s: %(reason)s"),
    "invoice.credited": _("credited %(total)s of the invoice %(target)s with %(note)s: %(reason)s"),
    "credit.granted": _("granted a credit of %(amount)s: %(target)s"),
    "billing.changed": _("changed the billing details"),
}


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def say(action: str, *, target: str, detail: Mapping[str, Any]) -> str:
    """Return the sentence for an action, without its subject; an action without one shows as it is."""
    if action not in SENTENCES:
        return f"{action} {target}"
    sentence: str = SENTENCES[action] % _Blank({**detail, "target": target})
    return sentence.strip()
