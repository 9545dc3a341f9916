"""Plots on pages that open offline."""
