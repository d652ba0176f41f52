"""Sign-in: flows through OpenID Providers, from their start to their return."""
