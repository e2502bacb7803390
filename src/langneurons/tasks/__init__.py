"""The tasks: data, prompt, collation and score of each."""
