"""Engines, one optional dependency a file."""
