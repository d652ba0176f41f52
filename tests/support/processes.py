"""Runs the service's commands as processes, as an operator does."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT


def environment(**settings: str) -> dict[str, str]:
    """Returns this environment without settings of the service, and with the given ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GUESTLIST_", "AWS_"))}
    return kept | {f"GUESTLIST_{name.upper()}": value for name, value in settings.items()}


async def run(*arguments: str, env: Mapping[str, str], cwd: Path = ROOT) -> tuple[int, str]:
    """Runs `guestlist` until it exits. Returns its exit status and its output."""
    process = await _start(*arguments, env=env, cwd=cwd)
    said, _ = await process.communicate()
    return int(process.returncode or 0), said.decode()


def guestlist(*arguments: str) -> list[str]:
    """Returns a command line for `guestlist` from this checkout."""
    return [sys.executable, "-c", "from service.cli import main; main()", *arguments]


async def _start(*arguments: str, env: Mapping[str, str], cwd: Path = ROOT) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *guestlist(*arguments),
        env={**env, "PYTHONPATH": str(ROOT), "COLUMNS": "500"}, cwd=cwd,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


@dataclass
class WorkerProcess:
    """A `guestlist worker` process."""

    process: asyncio.subprocess.Process
    reading: asyncio.Task[bytes]

    @classmethod
    async def start(cls, env: Mapping[str, str]) -> "WorkerProcess":
        process = await _start("worker", env=env)
        assert process.stdout is not None
        return cls(process, asyncio.create_task(process.stdout.read()))

    async def kill(self) -> None:
        """Kills the process with SIGKILL, so that no handler runs."""
        self.process.kill()
        await self.ended()

    async def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> tuple[int, str]:
        """Waits for the exit. Returns the exit status and the output."""
        said = await self.reading
        return await self.process.wait(), said.decode()


async def wait_until(condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float = 45.0) -> None:
    """Waits until a condition is true. Fails with `what` after a timeout."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 -- another process changes it
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"timed out: {what}") from None
