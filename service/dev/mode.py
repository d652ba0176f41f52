"""Development: the whole service on one machine, with a real OpenID Provider, a mailbox page and a demo community.

Nothing of this exists outside `guestlist dev`: `serve` never imports this room.
"""

import secrets
from datetime import datetime
from pathlib import Path

from joserfc.jwk import RSAKey
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from strawberry.http.ides import get_graphql_ide_html

from service.addresses import Address
from service.app import create_app
from service.clock import Clock
from service.database import select
from service.delivery import sns
from service.delivery.sns import FetchCertificate
from service.dev import mailbox_page
from service.dev.openid_provider import OpenIDProvider
from service.invitations.operator import create_community_as_operator, invite_for_operator
from service.limits import forget_recipient
from service.mail.mailbox import Mailbox
from service.mail.senders import open_sender
from service.models import Role
from service.settings import ProviderSettings, Settings, load_settings

PROVIDER = "dev"
DEMO = "Demo"
OWNER = Address("owner@example.com")

_CLIENT_ID = "guestlist"
_ISSUER_PATH = "/dev/openid"


def create_development_app(
    settings: Settings,
    *,
    clock: Clock,
    deliver: bool = True,
    key: RSAKey | None = None,
    fetch_certificate: FetchCertificate = sns.fetch_certificate,
) -> Starlette:
    """The service with the parts of development mode. `settings` come from `with_provider`.

    Without `deliver`, another worker puts the mails into the application's mailbox. `key` signs the provider's tokens.
    """
    mailbox = Mailbox()
    registration = settings.providers[PROVIDER]
    provider = OpenIDProvider(
        issuer=f"{settings.public_url}{_ISSUER_PATH}",
        clients={
            registration.client_id: (
                registration.client_secret.get_secret_value() if registration.client_secret else "",
                (f"{settings.public_url}/auth/{PROVIDER}/callback",),
            )
        },
        clock=clock,
        key=key,
    )
    routes: list[BaseRoute] = [
        Mount(_ISSUER_PATH, routes=provider.routes()),
        *mailbox_page.routes(mailbox),
        Route("/graphql", _graphiql, methods=["GET"]),
    ]
    sender = open_sender(settings, mailbox=mailbox, clock=clock) if deliver else None
    app = create_app(settings, clock=clock, sender=sender, fetch_certificate=fetch_certificate, further_routes=routes)
    app.state.mailbox = mailbox
    app.state.provider = provider
    return app


async def _graphiql(_: Request) -> Response:
    """GraphiQL, with its own policy because it loads scripts from a public CDN. In development only."""
    policy = "default-src 'self' https: data: blob: 'unsafe-inline' 'unsafe-eval'"
    return HTMLResponse(get_graphql_ide_html(graphql_ide="graphiql"), headers={"content-security-policy": policy})


def development_settings(config: Path | None, *, port: int) -> Settings:
    """The settings of `guestlist dev`, with defaults that need no configuration."""
    defaults = {
        "public_url": f"http://localhost:{port}",
        "mail_url": "mailbox:",
        "mail_from": "Guestlist <guestlist@example.com>",
        "community_creation": "members",
        "log_format": "console",
    }
    settings = load_settings(config=config, development=True, defaults=defaults)
    return with_provider(settings)


def with_provider(settings: Settings) -> Settings:
    """The settings with the development provider added to the configured ones."""
    provider = ProviderSettings(
        kind="oidc",
        issuer=f"{settings.public_url}{_ISSUER_PATH}",
        client_id=_CLIENT_ID,
        client_secret=SecretStr(secrets.token_urlsafe(32)),
        label="Development",
        email_domains=("*",),
        position=1000,
    )
    return settings.model_copy(update={"providers": {**settings.providers, PROVIDER: provider}})


_DEMO = """
SELECT c.id, m.member_id AS owner_id, p.email AS owner_email, d.id AS identity_id
FROM communities c
LEFT JOIN memberships m ON m.community_id = c.id AND m.role = 'OWNER'
LEFT JOIN members p ON p.id = m.member_id
LEFT JOIN identities d ON d.member_id = m.member_id AND (d.provider_id <> $2 OR d.issuer = $3)
WHERE c.name = $1
ORDER BY c.created_at, CASE WHEN d.id IS NULL THEN 1 ELSE 0 END, m.joined_at LIMIT 1
"""


async def prepare_demo(settings: Settings, *, now: datetime) -> bool:
    """Creates the demo community at the first start. Returns whether a mail waits for its owner.

    The mailbox of an earlier run is lost, so each start sends another link until the owner has accepted. It also sends one to an
    owner whose only sign-in was the development provider at another port, which is another issuer.
    """
    rows = await select(_DEMO, DEMO, PROVIDER, settings.providers[PROVIDER].issuer)
    demo = rows[0] if rows else None
    if demo is None:
        await create_community_as_operator(DEMO, OWNER, now=now, settings=settings)
    elif demo["identity_id"] is None:
        owner = Address(demo["owner_email"] or OWNER)
        # The mails of earlier runs are lost, so they do not count for the recipient's limit.
        await forget_recipient(owner)
        await invite_for_operator(
            demo["id"], owner, Role.OWNER, for_member_id=demo["owner_id"], now=now, settings=settings
        )
    return demo is None or demo["identity_id"] is None
