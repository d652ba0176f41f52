"""`guestlist suppression`: addresses that get no mail, and blocks."""

from typing import Annotated

import typer

from service.addresses import Address
from service.cli.shared import (
    ConfigOption,
    connected,
    err,
    out,
    run,
    sender_if_any,
    settings_or_exit,
    stored_address,
)
from service.clock import system_clock
from service.mail import blocks, suppression
from service.mail.blocks import BlockView
from service.mail.suppression import Removal, SuppressionView
from service.settings import Settings, load_settings

suppression_app = typer.Typer(help="Addresses that get no mail.", no_args_is_help=True)

_MADE_BY = {"link": "made by somebody with the link"}


@suppression_app.command("list")
def list_suppressed(*, config: ConfigOption = None) -> None:
    """Lists the addresses that get no mail: address, reason, since when; then the blocks, with community and author."""
    settings = settings_or_exit(lambda: load_settings(config=config))
    suppressed, blocked = run(_list_suppressed(settings))
    for row in suppressed:
        print(f"{row.email}\t{row.reason}\t{row.since.isoformat(timespec='seconds')}")
    for block in blocked:
        since = block.since.isoformat(timespec="seconds")
        print(f"{block.email}\tblocked\t{since}\t{block.community_name}\t{_MADE_BY[block.made_by]}")


async def _list_suppressed(settings: Settings) -> tuple[list[SuppressionView], list[BlockView]]:
    async with connected(settings):
        return await suppression.list_all(), await blocks.list_all()


@suppression_app.command("remove")
def remove_suppressed(
    email: Annotated[str, typer.Argument(help="The address.")],
    *,
    config: ConfigOption = None,
) -> None:
    """Removes an address from the list and from the mail service's list, and lifts its blocks."""
    settings, address = settings_or_exit(lambda: load_settings(config=config)), stored_address(email)
    removed = run(_remove_suppressed(settings, address))
    for community in removed.unblocked_by:
        out.print(f"Lifted the block: {community} can invite this address again.", markup=False, highlight=False)
    if removed.was_suppressed:
        out.print("This address gets mail again.")
    elif not removed.unblocked_by:
        err.print("This address is on no list and blocked by no community; it gets mail.")


async def _remove_suppressed(settings: Settings, address: Address) -> Removal:
    async with connected(settings), sender_if_any(settings) as sender:
        return await suppression.remove(address, sender=sender, now=system_clock())
