"""Outlines of histories that a search tries, and how Hypothesis draws them."""
