"""Changing neurons while a model runs."""
