"""Retention: pruning expired rows, and erasing people."""
