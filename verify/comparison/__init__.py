"""Trained models beside constructions and algorithms."""
