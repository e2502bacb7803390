"""Measuring a condition."""
