"""The service's own commands as processes of their own, as an operator runs them."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT


def environment(**settings: str) -> dict[str, str]:
    """Nothing of this machine's settings, and these of the service's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GUESTLIST_", "AWS_"))}
    return kept | {f"GUESTLIST_{name.upper()}": value for name, value in settings.items()}


async def run(*arguments: str, env: Mapping[str, str], cwd: Path = ROOT) -> tuple[int, str]:
    """Runs `guestlist` to its end; its exit status, and all that it said."""
    process = await _start(*arguments, env=env, cwd=cwd)
    said, _ = await process.communicate()
    return int(process.returncode or 0), said.decode()


def guestlist(*arguments: str) -> list[str]:
    """The command line of `guestlist` with the packages of this very folder."""
    return [sys.executable, "-c", "from service.cli import main; main()", *arguments]


async def _start(*arguments: str, env: Mapping[str, str], cwd: Path = ROOT) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *guestlist(*arguments),
        env={**env, "PYTHONPATH": str(ROOT), "COLUMNS": "500"}, cwd=cwd,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


@dataclass
class WorkerProcess:
    """A `guestlist worker`."""

    process: asyncio.subprocess.Process
    reading: asyncio.Task[bytes]

    @classmethod
    async def start(cls, env: Mapping[str, str]) -> "WorkerProcess":
        process = await _start("worker", env=env)
        assert process.stdout is not None
        return cls(process, asyncio.create_task(process.stdout.read()))

    async def kill(self) -> None:
        """As a power cut does: no handler runs, nothing is finished."""
        self.process.kill()
        await self.ended()

    async def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> tuple[int, str]:
        """Its exit status and what it said."""
        said = await self.reading
        return await self.process.wait(), said.decode()


async def wait_until(condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float = 45.0) -> None:
    """Waits until something is so; a test that waits in vain fails with `what`."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 -- another process makes it so
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited in vain: {what}") from None
