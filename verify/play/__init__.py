"""Policies played against environments, one or many side by side."""
