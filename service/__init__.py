"""The service, in rooms by subject. A room imports only from rooms below it; `make lint` checks this (pyproject.toml).

    cli/            the commands of operators
    dev/            development mode: the OpenID Provider, the mailbox page, the demo community; the types of the pages' operations
    app.py          the composition root: routes, lifespan, cookies; the only module that imports schema/
    web/            middleware, webhooks of SES, actions of mails, and the pages
    delivery/       the worker that sends mail, the attempts to send one, notices, and delivery events
    sign_in/        flows through OpenID Providers, mailbox codes, return addresses
    exports.py      invitations and the audit log as CSV
    audit_log/      audit events as people read them
    retention/      pruning of expired rows, and erasure
    invitations/    the main subject: inviting, managing, responding, accepting, and the views of admins
    communities/    access to communities, their members and rules
    mail/           mails, senders, the outbox, suppression and blocks
    limits.py       rate limits, counted in the database
    accounts/       callers, sessions, access tokens and identities
    openid/         the relying party, its checks, and the evidence for an address
    changes.py      "something changed": notify, listen, the hub
    audit.py        writes audit events
    database/       connections, SQL, migrations, time bounds and fair shares
    settings/       settings: their rules, and origins
    invitation_status.py  the status of an invitation, in Python and in SQL
    models.py       the tables
    errors.py       expected failures, with codes and sentences
    flow_sentences.py  sentences about a flow, stored as codes
    languages.py    languages, the catalogues of locales/, and sentences

doctor.py checks an installation, and metrics.py counts for Prometheus. addresses.py, text.py, tokens.py, private_keys.py, clock.py,
period.py, csv_cells.py, templates.py and logs.py are shared by the rooms.
"H012" in a comment or a docstring is a case of docs/security.md.
"""
