"""The audit log: events as people read them, and their sentences."""
