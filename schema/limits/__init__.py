"""Limits on operations: document size, cost, response size and the scopes of access tokens. Caches of documents and plans."""
