"""Invitations: creating, managing, answering and accepting them, and the views of admins."""
