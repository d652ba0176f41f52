"""The GraphQL layer. Each resolver is one call into service/ and one mapping out.

    schema.py                   the schema, and how an operation runs
    http.py                     POST /graphql
    subscription_transport.py   subscriptions over WebSockets and server-sent events
    context.py, loaders.py      what a resolver receives, and what it loads in batches
    queries.py, mutations.py, subscriptions.py, types.py, problems.py, cursors.py
    limits/                     document size, cost, cached documents and plans, scopes of access tokens

schema.graphql is the printed schema. Tests compare it, and the contract in tests/schema/contract.graphql, with the running schema.
"""
