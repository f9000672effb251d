"""Audits: measured ≤ certified ≤ stated."""
