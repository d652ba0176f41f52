"""Limits on operations: what a document, a selection and an access token may ask for."""
