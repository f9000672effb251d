"""Exact rewriting of weights for speed; it knows weights alone."""
