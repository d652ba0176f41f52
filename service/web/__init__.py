"""The web layer: middleware, webhooks, actions of mails, and the pages."""
