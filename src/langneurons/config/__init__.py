"""The configuration: loading, checks between sections, errors, generated reference."""
