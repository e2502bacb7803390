"""Models: loading them, and where their neurons are."""
