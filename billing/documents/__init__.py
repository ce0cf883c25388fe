"""Invoices and credit notes as documents: PDF, CSV and XLSX, from what was written down when they were drawn up."""
