"""The command `guestlist`: checks that Python imports Guestlist's own packages, then runs the command line.

In an environment that is shared with other applications, another package named `schema` or `service` can be earlier on the path,
or installed over Guestlist's files. Guestlist would then run foreign code. The check is outside of these packages, because one of
them could be hidden.
"""

import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_HOME: Final = Path(__file__).resolve().parent
_FILES: Final = {name: _HOME / name / "__init__.py" for name in ("service", "schema", "migrations")}


def main() -> None:
    """Runs the command line. Refuses to start when Python imports another package in place of one of Guestlist's."""
    if foreign := foreign_package():
        message = (
            f"Guestlist cannot start: {foreign} belongs to another package of the same name. "
            "Install Guestlist in a dedicated environment (uv tool, pipx or Docker) and unset PYTHONPATH.\n"
        )
        sys.stderr.write(message)
        sys.exit(2)
    from service.cli import main as run_command  # noqa: PLC0415 -- after the check

    run_command()


def foreign_package() -> Path | None:
    """Returns the path of a package that is imported in place of Guestlist's, without importing it."""
    hashes = _installed_hashes()
    for name, file in _FILES.items():
        imported = _imported_file(name)
        if imported != file or hashes.get(name, _hash(file)) != _hash(file):
            return imported or file
    return None


def _imported_file(name: str) -> Path | None:
    spec = find_spec(name)
    return Path(spec.origin).resolve() if spec and spec.origin else None


def _installed_hashes() -> Mapping[str, str]:
    """Returns the hash of each package's `__init__.py` as pip installed it. An editable installation has none."""
    try:
        installed = distribution("guestlist")
    except PackageNotFoundError:
        return {}
    if Path(str(installed.locate_file(""))).resolve() != _HOME:
        return {}
    lines = [line.split(",") for line in (installed.read_text("RECORD") or "").splitlines()]
    return {
        line[0].partition("/")[0]: line[1] for line in lines if line[0] in {f"{name}/__init__.py" for name in _FILES}
    }


def _hash(file: Path) -> str:
    """Returns the hash of a file in the form of RECORD: urlsafe base64 without padding."""
    return "sha256=" + urlsafe_b64encode(sha256(file.read_bytes()).digest()).rstrip(b"=").decode()
