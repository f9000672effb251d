"""Bounds rounded outwards, and what float64 leaves of weights and iterations."""
