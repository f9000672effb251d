"""Transformers trained by the paper's recipes: the model, the data, and what is kept of a run."""
