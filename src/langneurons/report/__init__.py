"""The report: its page and its findings."""
