"""Softmax attention in place of the paper's relu(⟨q, k⟩)/i: the model, and how it leaves the house."""
