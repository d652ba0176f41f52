"""Invitations: inviting, managing, responding, accepting, and the views that admins see."""
