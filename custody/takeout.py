"""All of a workspace's data in one ZIP: tables as CSV, invoices as PDF. Never a key, a token, or a digest of one."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from django.utils.translation import gettext as _

from agents.changes import Actor, audit
from agents.models import Workspace
from billing.documents import pdf, tables
from billing.models import Invoice
from custody.archive import Files
from llm.experiments import results
from llm.models import Experiment, Feedback
from metering import exports, reading
from metering.periods import Month
from metering.store import get_store
from metering.store.base import AgentUsage, Page

AGENTS: Final = ("id", "name", "template", "mode", "plan", "provider", "model", "paused", "created", "deleted")
MEMBERS: Final = ("email", "role", "since")
CHANGES: Final = ("at", "who", "action", "what")
PROMPTS: Final = ("set", "prompt")
COMPARED: Final = ("at", "agent", "prompt", "asked", "status", "thumb", "answer")
EXPERIMENTS: Final = (
    *("experiment_id", "experiment", "agent", "goal", "status", "started", "ended"),
    *("arm_id", "side", "weight", "key", "model", "plan", "instructions", "adopted"),
    *("sessions", "requests", "cost", "seconds", "success", "feedback"),
)
FEEDBACK: Final = ("at", "agent_id", "agent", "request_id", "score", "label", "arm_id")
MONTHS: Final = (
    *("month", "agent_id", "agent", "requests", "failed", "tokens_input", "tokens_output", "tokens_on_plan"),
    *("price_total", "cost_total"),
)


def take(*, workspace: Workspace, until: Month, by: Actor) -> Files:
    """Note that all data of a workspace is being taken; give it as files, the months until the given one included."""
    audit(workspace=workspace, by=by, action="data.taken", target=workspace)
    return _files(workspace, until)


def _files(workspace: Workspace, until: Month) -> Iterator[tuple[str, Iterable[bytes]]]:
    yield "README.txt", [_said(workspace).encode()]
    yield "agents.csv", _table(AGENTS, _agents(workspace))
    yield "members.csv", _table(MEMBERS, _members(workspace))
    yield "changes.csv", _table(CHANGES, _changes(workspace))
    yield "months.csv", _table(MONTHS, _months(workspace, until))
    yield "requests.csv", _requests(workspace)
    yield "prompts.csv", _table(PROMPTS, _prompts(workspace))
    yield "compared.csv", _table(COMPARED, _compared(workspace))
    yield "experiments.csv", _table(EXPERIMENTS, _experiments(workspace))
    yield "feedback.csv", _table(FEEDBACK, _feedback(workspace))
    invoices = list(Invoice.objects.issued().filter(workspace=workspace).order_by("number"))
    yield "invoices.csv", [tables.as_csv(invoices).encode()]
    for invoice in invoices:
        yield f"invoices/{invoice}.pdf", [pdf.invoice_pdf(invoice)]
        for note in invoice.credit_notes.all():
            yield f"invoices/{note}.pdf", [pdf.credit_note_pdf(note)]


def _said(workspace: Workspace) -> str:
    return _(
        "All data of %(workspace)s. Times are UTC, amounts USD.\n\n"
        "agents.csv       your agents, deleted ones included\n"
        "members.csv      who belongs to the workspace\n"
        "changes.csv      who changed what\n"
        "months.csv       what each agent used in each month\n"
        "requests.csv     every request that is still kept\n"
        "prompts.csv      prompts you saved to compare with\n"
        "compared.csv     comparisons you kept, with their prompts and answers\n"
        "experiments.csv  the sides of your experiments, and what came of them\n"
        "feedback.csv     what was thought of answers, from 0 (bad) to 1 (good)\n"
        "invoices.csv     the lines of your invoices; the documents are in invoices/\n\n"
        "Keys and tokens are in none of them.\n"
    ) % {"workspace": workspace.name}


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    yield exports.written([header])
    for row in rows:
        yield exports.written([[exports.cell(each) for each in row]])


def _agents(workspace: Workspace) -> Iterator[Sequence[Any]]:
    for each in workspace.agents.order_by("created_at", "pk").prefetch_related("stays"):
        runs_on = ("", "") if each.tier else (each.provider, each.model)
        paused = "yes" if each.paused else "no"
        yield (
            *(each.pk, each.name, each.template, each.mode, each.tier, *runs_on, paused),
            *(each.created_at, each.deleted_at),
        )


def _members(workspace: Workspace) -> Iterator[Sequence[Any]]:
    for each in workspace.memberships.select_related("user").order_by("created_at", "pk"):
        yield each.user.email, each.role, each.created_at


def _changes(workspace: Workspace) -> Iterator[Sequence[Any]]:
    for each in workspace.audit_entries.iterator():
        yield each.at, each.actor, each.action, each.sentence


def _prompts(workspace: Workspace) -> Iterator[Sequence[Any]]:
    for each in workspace.prompt_sets.all():
        for prompt in each.prompts:
            yield each.name, prompt


def _compared(workspace: Workspace) -> Iterator[Sequence[Any]]:
    for run in workspace.comparisons.filter(kept=True).select_related("agent").order_by("created_at"):
        for each in run.answers.all():
            asked = run.columns[each.column]["name"]
            yield run.created_at, run.agent, run.prompts[each.prompt], asked, each.status, each.thumb, each.text


def _experiments(workspace: Workspace) -> Iterator[Sequence[Any]]:
    mine = Experiment.objects.filter(agent__workspace=workspace).select_related("agent").prefetch_related("arms")
    for each in mine.order_by("started_at", "pk"):
        last = each.looks.last()
        came_to = {side.arm: side for side in results.read(last).sides} if last else {}
        whole = (each.pk, each.name, each.agent, each.goal, each.status, each.started_at, each.ended_at)
        for arm in each.arms.all():
            adopted = "yes" if arm.pk == each.adopted_id else "no"
            side = (arm.pk, arm.name, arm.weight, arm.key_name, arm.model, arm.tier, arm.instructions, adopted)
            yield (*whole, *side, *_came_to(came_to.get(arm.pk)))


def _came_to(side: results.Figures | None) -> Sequence[Any]:
    if side is None:
        return (None,) * 6
    shares = (None if value is None else round(value, 4) for value in (side.seconds, side.success, side.feedback))
    return (side.sessions, side.requests, results.usd(side.cost), *shares)


def _feedback(workspace: Workspace) -> Iterator[Sequence[Any]]:
    names = dict(workspace.agents.values_list("pk", "name"))
    for each in Feedback.objects.filter(agent_id__in=names).order_by("agent_id", "-given_at").iterator():
        yield each.given_at, each.agent_id, names[each.agent_id], each.request_id, each.score, each.label, each.arm


def _months(workspace: Workspace, until: Month) -> Iterator[Sequence[Any]]:
    names = dict(workspace.agents.values_list("pk", "name"))
    month = reading.first_month(workspace_id=workspace.pk)
    while month and month <= until:
        for used in reading.month_usage(workspace_id=workspace.pk, month=month):
            yield str(month), used.agent_id, names.get(used.agent_id, ""), *_used(used)
        month = month.next()


def _used(used: AgentUsage) -> Sequence[Any]:
    # What plans cost us is no business of theirs; what was paid to their own provider is.
    cost = None if used.managed_tokens else used.cost_total
    tokens = (used.tokens_input, used.tokens_output, used.managed_tokens)
    return (used.requests, used.failed, *tokens, used.price_total, cost)


def _requests(workspace: Workspace) -> Iterator[bytes]:
    names = dict(workspace.agents.values_list("pk", "name"))
    yield exports.written([("agent_id", "agent", *exports.COLUMNS)])
    for records in exports.pages(partial(_page, workspace)):
        yield exports.written(
            [str(each.agent_id), exports.cell(names.get(each.agent_id, "")), *exports.row(each)] for each in records
        )


def _page(workspace: Workspace, cursor: str | None) -> Page:
    return get_store().records(workspace_id=workspace.pk, cursor=cursor, limit=exports.AT_ONCE)
