"""Lemmas for softmax attention, one a file; docs/softmax.md has the proofs."""
