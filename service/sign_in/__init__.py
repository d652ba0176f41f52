"""Sign-in: flows through OpenID Providers, from their beginning to their return."""
