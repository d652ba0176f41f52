"""Accounts: callers, sessions, access tokens and identities."""
