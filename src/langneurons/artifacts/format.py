"""The format of the workflow's own files."""

FORMAT = 1
"""Raise it when files of before can no longer be read: every stage's version depends on it."""
