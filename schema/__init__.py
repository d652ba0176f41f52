"""The GraphQL API. A resolver calls service/ once, and maps the result to a type. Modules import only from modules below them.

    http.py                     POST /graphql
    subscription_transport.py   subscriptions over WebSockets and server-sent events
    schema.py                   builds the schema, runs operations, masks unexpected errors
    queries.py                  the query root
    mutations/                  the mutation root by subject: invitations, acceptance, sign-in, communities, access tokens
    subscriptions.py            the subscription root
    problems.py                 converts errors of the service into members of result unions
    types/                      the types by subject
    context.py                  the caller, the time and the cookies of a request
    limits/                     size and cost of operations, scopes of access tokens, caches of documents and plans
    loaders.py                  batches the reads of resolvers
    cursors.py                  pages and their cursors

schema.graphql is the printed schema. Tests compare it, and the contract in tests/schema/contract.graphql, with the running
schema.
"""
