"""Explicit transformer weights for decision-making algorithms."""
