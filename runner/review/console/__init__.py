"""The terminal: events as lines, tasks as a table, drafts to decide on. What a task or Claude wrote is never trusted."""
