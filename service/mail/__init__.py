"""Mail: messages and their texts, senders, the outbox, suppression and blocks."""
