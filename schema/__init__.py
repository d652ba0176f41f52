"""The GraphQL face: thin. Each resolver is one call into service/ and one mapping out."""
