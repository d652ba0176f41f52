"""Commands that check and prepare the database, the settings, the schema and the mails."""

from pathlib import Path
from typing import Annotated

import typer

from service import database
from service.cli.shared import (
    ConfigOption,
    connected,
    err,
    out,
    run,
    settings_or_exit,
)
from service.clock import system_clock
from service.database import drift
from service.doctor import examine
from service.mail import preview
from service.settings import Settings, load_settings

app = typer.Typer()
mail_app = typer.Typer(help="The mails of the service.", no_args_is_help=True)


@app.command()
def migrate(
    *,
    config: ConfigOption = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail on drift.")] = False,
) -> None:
    """Migrates the database; concurrent runs are safe. --check changes nothing and fails on drift."""
    settings = settings_or_exit(lambda: load_settings(config=config))
    if check:
        run(_check_migrations(settings))
        return
    for name in run(_migrate(settings)):
        out.print(f"Applied {name}.")
    out.print("The database is up to date.")


async def _migrate(settings: Settings) -> list[str]:
    async with connected(settings, migrated=False):
        return await database.migrate(settings.database_url.get_secret_value())


async def _check_migrations(settings: Settings) -> None:
    url = settings.database_url.get_secret_value()
    async with connected(settings, migrated=False):
        findings = [f"Not applied yet: {name}." for name in await database.pending(url)]
        findings = findings or await drift.schema_drift(url)
    findings += [f"The models differ from the migrations: {change}." for change in await drift.model_drift(url)]
    for finding in findings:
        err.print(finding)
    if findings:
        raise typer.Exit(1)
    out.print("The database and the models match the migrations.")


@app.command()
def doctor(*, config: ConfigOption = None) -> None:
    """Checks settings, database, migrations, mail, providers and clock; prints a remedy for each finding."""
    settings = settings_or_exit(lambda: load_settings(config=config))
    examined = run(examine(settings, system_clock))
    for name, findings in examined.items():
        out.print(f"{name}: {'look at this' if findings else 'well'}", markup=False, highlight=False)
        for finding in findings:
            out.print(f"  - {finding}", markup=False, highlight=False)
    if any(examined.values()):
        raise typer.Exit(1)


@mail_app.command("preview")
def preview_mails(
    folder: Annotated[Path, typer.Argument(help="The folder for the files.", file_okay=False)] = Path("mail-preview"),
) -> None:
    """Writes every mail in every language to files."""
    files = preview.write_all(folder, now=system_clock())
    out.print(f"Wrote {len(files)} files to {folder}.", markup=False, highlight=False)


@app.command()
def schema() -> None:
    """Prints the SDL."""
    from service.app import printed_schema  # noqa: PLC0415 -- the schema is slow to import

    print(printed_schema(), end="")
