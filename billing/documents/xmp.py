"""Says in a PDF's metadata that Factur-X is inside, and what the words for that mean, as PDF/A asks.

typst attaches the file as it should be, but its metadata can't be added to (typst issue 5667).
"""

import io
from typing import Final

from billing.documents.e_invoice import NAME, PROFILE

NAMESPACE: Final = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
# Factur-X 1.0, chapter on XMP: each property with what it holds here, and what it is for.
PROPERTIES: Final = {
    "DocumentType": ("INVOICE", "The type of the document: INVOICE, for credit notes too"),
    "DocumentFileName": (NAME, "The name of the embedded XML document"),
    "Version": ("1.0", "The version of the standard that the embedded XML document follows"),
    "ConformanceLevel": (PROFILE, "The profile of the embedded XML document"),
}
FACTS: Final = (
    f'<rdf:Description rdf:about="" xmlns:fx="{NAMESPACE}">'
    + "".join(f"<fx:{name}>{value}</fx:{name}>" for name, (value, _said) in PROPERTIES.items())
    + "</rdf:Description>"
)
SCHEMA: Final = (
    '<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>'
    f"<pdfaSchema:namespaceURI>{NAMESPACE}</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx</pdfaSchema:prefix>"
    "<pdfaSchema:property><rdf:Seq>"
    + "".join(
        f'<rdf:li rdf:parseType="Resource"><pdfaProperty:name>{name}</pdfaProperty:name>'
        "<pdfaProperty:valueType>Text</pdfaProperty:valueType><pdfaProperty:category>external</pdfaProperty:category>"
        f"<pdfaProperty:description>{said}</pdfaProperty:description></rdf:li>"
        for name, (_value, said) in PROPERTIES.items()
    )
    + "</rdf:Seq></pdfaSchema:property></rdf:li>"
)
# Before these, in what typst writes: tests/billing/test_e_invoices.py notices if it doesn't any more.
END_OF_SCHEMAS: Final = "</rdf:Bag></pdfaExtension:schemas>"
END: Final = "</rdf:RDF>"


def declare(made: bytes) -> bytes:
    """Return a PDF/A-3 whose metadata says what is inside."""
    # Only whoever sets a document pays for the half second that it takes to load.
    from pypdf import PdfWriter

    document = PdfWriter(clone_from=io.BytesIO(made))
    document.pdf_header = "%PDF-1.7"
    metadata = document.root_object["/Metadata"].get_object()
    said = metadata.get_data().decode()  # type: ignore[union-attr]
    said = said.replace(END_OF_SCHEMAS, SCHEMA + END_OF_SCHEMAS).replace(END, FACTS + END)
    metadata.set_data(said.encode())  # type: ignore[union-attr]
    out = io.BytesIO()
    document.write(out)
    return out.getvalue()
