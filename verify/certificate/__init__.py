"""Certificates as files: weights, statement and obligations in one, and a checker that needs nothing else of ours.

export.py               writes one
check_certificate.py    checks one from its file alone; imports NumPy and python-flint, and no other module
"""
