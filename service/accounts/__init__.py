"""Accounts: sessions and access tokens, which say who is asking."""
