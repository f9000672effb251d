"""Decisions as fast as they can be: a rewritten program, for a few tokens at a time, as a list of calls on slots."""
