"""Language-specific neurons: finding, changing and training them, and measuring what that does to a task."""
