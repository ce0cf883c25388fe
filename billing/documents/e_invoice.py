"""An invoice for programs: Factur-X, which is the XML of EN 16931 inside the PDF.

Everything comes from what was written down when the invoice was drawn up. What moves later (paid or not) isn't in it,
so that one invoice is one file for good. The keys are the business terms of EN 16931-1 (BT-…, BG-…).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from django.utils import translation
from django.utils.translation import gettext as _

from agents.plans import CENT, MILLION
from billing.documents.content import METERED
from billing.models import CreditNote, Invoice, InvoiceLine, Status

NAME: Final = "factur-x.xml"  # what Factur-X wants the attachment to be called
PROFILE: Final = "EN 16931"
INVOICE: Final = "380"  # UNTDID 1001
CREDIT_NOTE: Final = "381"
PIECE: Final = "C62"  # UN/ECE Recommendation 20: one, as tokens are counted
LINES_OF_ADDRESS: Final = 3
# Where the letters of a VAT number aren't those of its country.
COUNTRY_OF_VAT: Final = {"EL": "GR", "XI": "GB"}

Part = tuple[InvoiceLine, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tax:
    """How the standard calls an invoice's tax: S (taxed), AE (reverse charge), E (exempt), O (not subject to VAT)."""

    category: str
    rate: str = "0"  # in percent; none where the tax doesn't apply at all
    reason: str = ""
    code: str = ""

    def breakdown(self, *, base: Decimal, tax: Decimal) -> dict[str, str]:
        """Return the tax on all of the invoice: there is one rate."""
        terms = {
            "BT-116": f"{base:.2f}",
            "BT-117": f"{tax:.2f}",
            "BT-118": self.category,
            "BT-119": self.rate,
            "BT-120": self.reason,
            "BT-121": self.code,
        }
        return {name: said for name, said in terms.items() if said}


def of_invoice(invoice: Invoice) -> bytes | None:
    """Return an invoice as XML; None for a draft, for one that was taken back, and where :func:`lacks` something."""
    if invoice.finalized_at is None or invoice.due_at is None or invoice.status == Status.VOID or lacks(invoice):
        return None
    with translation.override(invoice.snapshot["language"]):
        terms = {
            "BT-1": str(invoice.number),
            "BT-2": _day(invoice.finalized_at),
            "BT-3": INVOICE,
            "BT-9": _day(invoice.due_at),
            "BT-73": _day(invoice.period_start),
            "BT-74": _last_day(invoice.period_end),
        }
        parts = [(line, line.amount) for line in invoice.lines.all()]
        sums = (invoice.subtotal, invoice.tax, invoice.total)
        return _xml(terms | _rest(invoice, parts, sums=sums))


def of_credit_note(note: CreditNote) -> bytes | None:
    """Return a credit note as XML, its amounts positive as the standard wants; None where :func:`lacks` something."""
    invoice = note.invoice
    if invoice.finalized_at is None or lacks(invoice):
        return None
    with translation.override(invoice.snapshot["language"]):
        terms = {
            "BT-1": note.number,
            "BT-2": _day(note.issued_at),
            "BT-3": CREDIT_NOTE,
            "BT-20": _("Set against invoice %(invoice)s.") % {"invoice": invoice},
            "BG-1": [{"BT-22": note.reason}],
            "BG-3": [{"BT-25": str(invoice.number), "BT-26": _day(invoice.finalized_at)}],
        }
        parts = [(part.line, part.amount) for part in note.lines.select_related("line").order_by("line__position")]
        return _xml(terms | _rest(invoice, parts, sums=(note.subtotal, note.tax, note.total)))


def lacks(invoice: Invoice) -> list[str]:
    """Return what EN 16931 asks for and the invoice doesn't say, in words; without it no e-invoice is valid."""
    seller, buyer = invoice.snapshot["seller"], invoice.snapshot["buyer"]
    missing = []
    if not _country(seller):
        missing.append(_("the seller's country (SELLER_COUNTRY)"))
    if (invoice.tax_ppm or invoice.snapshot["reverse_charge"]) and not seller["vat_number"]:
        missing.append(_("the seller's VAT number (SELLER_VAT_NUMBER)"))
    elif not seller["vat_number"] and not seller.get("registration"):
        missing.append(_("the seller's number: for VAT (SELLER_VAT_NUMBER), or in a register (SELLER_REGISTRATION)"))
    if not _country(buyer):
        missing.append(_("the customer's country"))
    return missing


def _rest(invoice: Invoice, parts: Sequence[Part], *, sums: tuple[Decimal, Decimal, Decimal]) -> dict[str, Any]:
    """Return what invoices and credit notes say alike."""
    subtotal, tax, total = sums
    taxed = _tax(invoice)
    return {
        "BT-5": invoice.currency,
        "BT-72": _last_day(invoice.period_end),  # when it was all delivered
        "BG-4": _party(invoice.snapshot["seller"], vat=True),
        # Whoever isn't subject to VAT names no VAT number, the customer's neither (rule BR-O-02).
        "BG-7": _party(invoice.snapshot["buyer"], vat=taxed.category != "O"),
        "BG-23": [taxed.breakdown(base=subtotal, tax=tax)],
        "BG-25": [_line(number, part, taxed) for number, part in enumerate(parts, start=1)],
        "BT-106": f"{subtotal:.2f}",
        "BT-109": f"{subtotal:.2f}",
        "BT-110": f"{tax:.2f}",
        "BT-112": f"{total:.2f}",
        "BT-115": f"{total:.2f}",
    }


def _tax(invoice: Invoice) -> Tax:
    if invoice.snapshot["reverse_charge"]:
        said = _("Reverse charge: the recipient is liable for the VAT.")
        return Tax(category="AE", reason=said, code="VATEX-EU-AE")
    if invoice.tax_ppm:
        return Tax(category="S", rate=f"{invoice.tax_rate.normalize():f}")
    if invoice.snapshot["seller"]["vat_number"]:
        return Tax(category="E", reason=_("No VAT is charged."))
    return Tax(category="O", rate="", reason=_("Not subject to VAT."), code="VATEX-EU-O")


def _line(number: int, part: Part, taxed: Tax) -> dict[str, str]:
    """Return a line. Prices are never negative: what reduces the total has a negative quantity."""
    line, amount = part
    terms = {
        "BT-126": str(number),
        "BT-129": "-1" if amount < 0 else "1",
        "BT-130": PIECE,
        "BT-131": f"{amount:.2f}",
        "BT-134": _day(line.of_month.start),
        "BT-135": _last_day(line.of_month.end),
        "BT-146": f"{abs(amount):.2f}",
        "BT-151": taxed.category,
        "BT-153": line.description,
    }
    if line.kind in METERED and amount == _priced(line):
        # By tokens where that comes to the same: a late line is a difference of two amounts, each rounded once.
        terms |= {"BT-129": str(line.quantity), "BT-146": f"{line.unit_price.normalize():f}", "BT-149": str(MILLION)}
    return terms | {"BT-152": taxed.rate} if taxed.rate else terms


def _priced(line: InvoiceLine) -> Decimal:
    price: Decimal = line.unit_price
    return (line.quantity * price / MILLION).quantize(CENT, ROUND_HALF_UP)


def _party(who: dict[str, str], *, vat: bool) -> dict[str, str]:
    address = [each.strip() for each in who["address"].splitlines() if each.strip()]
    first, rest = address[: LINES_OF_ADDRESS - 1], address[LINES_OF_ADDRESS - 1 :]
    said = [*first, ", ".join(rest)] if rest else first
    party = {"name": who["name"], "country_code": _country(who)}
    party |= {f"addr_l{number}": line for number, line in enumerate(said, start=1)}
    if who["email"]:
        party |= {"einvoicing_addr": who["email"], "einvoicing_addr_schemeid": "EM"}
    if vat and who["vat_number"]:
        party["vat_identifier"] = _vat_number(who)
    if who.get("registration"):
        party["legal_identifier"] = who["registration"]
    return party


def _vat_number(who: dict[str, str]) -> str:
    """Return a VAT number with its country in front (rule BR-CO-09)."""
    number = "".join(who["vat_number"].split()).upper()
    return number if number[:2].isalpha() else _country(who) + number


def _country(who: dict[str, str]) -> str:
    """Return a party's country, by its VAT number if need be."""
    letters = who["vat_number"][:2].upper()
    return who.get("country") or (COUNTRY_OF_VAT.get(letters, letters) if letters.isalpha() else "")


def _xml(terms: dict[str, Any]) -> bytes:
    # Only whoever sets a document pays for the second that it takes to load.
    from facturx.generate_xml import generate_cii_xml

    made: bytes = generate_cii_xml(_printable(terms), level="en16931", check_xsd=False, check_schematron=None)
    return made


def _printable(said: Any) -> Any:
    """Return terms without the control characters that people paste and XML has no way to write."""
    if isinstance(said, dict):
        return {name: _printable(value) for name, value in said.items()}
    if isinstance(said, list):
        return [_printable(each) for each in said]
    return "".join(each for each in said if each.isprintable())


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()


def _last_day(end: datetime) -> str:
    return _day(end - timedelta(days=1))
