"""Delivery: the worker that empties the outbox, notices, and the delivery events of Amazon SES."""
