"""One lemma a file. Primitives do not import one another; each returns a Block."""
