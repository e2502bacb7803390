"""Running the workflow: jobs, code versions, resources, plans, unlocking."""
