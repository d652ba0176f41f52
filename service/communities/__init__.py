"""Communities: access to them, their members, and their rules for invitations."""
