"""`guestlist community` and `guestlist identity`: actions on the operator's authority."""

from typing import Annotated

import typer

from service.addresses import Address
from service.cli.shared import (
    ConfigOption,
    address_or_exit,
    connected,
    out,
    refuse,
    run,
    settings_or_exit,
    stored_address,
)
from service.clock import system_clock
from service.errors import InvalidInput
from service.invitations.operator import create_community_as_operator, release_account
from service.settings import Settings, load_settings
from service.text import NAME, language_tag, validated_text

community_app = typer.Typer(help="Communities.", no_args_is_help=True)
identity_app = typer.Typer(help="The sign-ins of accounts.", no_args_is_help=True)


@community_app.command("create")
def create_community(
    name: Annotated[str, typer.Argument(help="The name of the community.")],
    *,
    owner: Annotated[str, typer.Option(help="The email address of its first owner.")],
    locale: Annotated[
        str | None, typer.Option(help="The language of its mails, such as de; English by default.")
    ] = None,
    another: Annotated[
        bool, typer.Option("--another", help="Create it although a community has this name already.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Creates a community and invites its first owner."""
    settings, address = settings_or_exit(lambda: load_settings(config=config)), address_or_exit(owner, "--owner: ")
    try:
        name, locale = validated_text(name, NAME), language_tag(locale)
    except InvalidInput as wrong:
        refuse(f"{'--locale' if wrong.field == 'locale' else 'NAME'}: {wrong}")
    community_id = run(_create_community(settings, name, address, locale, another=another))
    out.print(f"Created {name} ({community_id}). The worker sends the mail to its owner.")


async def _create_community(
    settings: Settings, name: str, owner: Address, locale: str | None, *, another: bool
) -> str:  # fmt: skip
    async with connected(settings):
        return await create_community_as_operator(
            name, owner, locale=locale, another=another, now=system_clock(), settings=settings
        )


@identity_app.command("release")
def release_identity(
    email: Annotated[str, typer.Argument(help="The email address of the account.")], *, config: ConfigOption = None
) -> None:
    """Lets a person whose provider account was replaced sign in again: ends their sign-ins, sessions and access tokens,
    and mails them a link.
    """
    settings = settings_or_exit(lambda: load_settings(config=config))
    address = stored_address(email, "EMAIL: ")
    invited = run(_release_identity(settings, address))
    out.print(
        "Their sign-ins, sessions and access tokens have ended."
        + (
            " The worker sends the link for the new sign-in."
            if invited
            else " They are a member of no community: invite them."
        )
    )


async def _release_identity(settings: Settings, email: Address) -> bool:
    async with connected(settings):
        return await release_account(email, now=system_clock(), settings=settings)
