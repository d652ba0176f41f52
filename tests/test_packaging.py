"""Setup, lock files and shipping of Guestlist, without a container engine."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from service.settings import load_settings
from tests import ROOT
from tests.support.requirements import skip_without

TOOLS: Final = Path(sys.executable).parent
LOCKS: Final = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FLOORS: Final = {
    "authlib": "1.9.0",
    "strawberry-graphql": "0.327.2",
    "starlette": "1.3.1",
    "joserfc": "1.4.2",
    "tortoise-orm": "0.16.6",
}


# ------------------------------------------------------------------------------------------------------------ locks


def locked(lock: str) -> dict[str, Version]:
    """Returns the versions of a lock file, by canonical name."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\\n]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(number) for name, number in pins}


def entries(lock: str) -> list[str]:
    """Returns the requirements of a lock file, each with its hashes and the comment about its origin."""
    text = "\n".join(line for line in (ROOT / lock).read_text().splitlines() if not line.startswith("#"))
    return [entry.strip() for entry in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if entry.strip()]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_every_requirement_by_hash(lock: str) -> None:
    """H168: every requirement has the hashes of its files."""
    assert len(entries(lock)) == len(locked(lock)) > 5
    for entry in entries(lock):
        assert re.match(r"[A-Za-z0-9._-]+==[^ ]+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_the_origin_of_each_package(lock: str) -> None:
    """H168: every package in a lock is required by another one, and known placeholders are excluded."""
    assert [entry for entry in entries(lock) if "# via" not in entry] == []
    assert not {"graphql-cop", "graphw00f"} & set(locked(lock))


@pytest.mark.parametrize(
    "name", [*LOCKS, "package-lock.json", "package.json", "Makefile", ".ci/run", "docker/Dockerfile", "pyproject.toml"]
)
def test_no_file_names_a_package_index(name: str) -> None:
    """The files leave the index to pip's configuration."""
    text = (ROOT / name).read_text()
    assert not re.search(
        r"(?<!emit-)index-url\b|--find-links|--trusted-host|file://|/simple\b|pypi\b|pythonhosted", text
    )
    if name in {*LOCKS, "package-lock.json"}:
        assert "://" not in text
    if name in LOCKS:
        assert re.search(r"^#    make lock$", text, re.MULTILINE), "the header names the command that writes the file"


def test_npm_lock_pins_every_package_by_hash() -> None:
    """H168: every package of the npm lock has its digest and an exact version."""
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    manifest = json.loads((ROOT / "package.json").read_text())
    assert packages.pop("")["devDependencies"] == manifest["devDependencies"] == {"typescript": packages[
        "node_modules/typescript"
    ]["version"]}  # fmt: skip
    assert all(package["integrity"].startswith("sha512-") and package["dev"] for package in packages.values())


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ()), ("requirements-dev.lock", ("dev",))], ids=["runtime", "dev"]
)
def test_lock_fits_the_project(lock: str, extras: tuple[str, ...]) -> None:
    """Every dependency of pyproject.toml is in the lock, in an allowed version."""
    declared = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    pins = locked(lock)
    for requirement in map(Requirement, declared):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_locks_agree() -> None:
    """A package has the same version in all locks."""
    everything = locked("requirements-dev.lock")
    assert set(locked("requirements.lock")) <= set(everything)
    for lock in LOCKS:
        assert {name: pin for name, pin in locked(lock).items() if everything.get(name, pin) != pin} == {}


def test_development_tools_are_not_shipped() -> None:
    """The runtime lock, and so the image, has no test runner and no compiler of packages."""
    assert not {"pytest", "mypy", "playwright", "uv", "hatchling"} & set(locked("requirements.lock"))


@pytest.mark.parametrize(("name", "floor"), FLOORS.items())
def test_dependencies_are_above_their_floors(name: str, floor: str) -> None:
    """H167: locks and requirements exclude versions with known vulnerabilities."""
    assert Version(version(name)) >= Version(floor)
    assert all(locked(lock)[name] >= Version(floor) for lock in LOCKS[:2])


# -------------------------------------------------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a wheel of this checkout."""
    if importlib.util.find_spec("hatchling") is None:
        skip_without("hatchling (pip install -r requirements-build.lock)")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--no-index"]
    subprocess.run(  # noqa: S603 -- pip of this very environment
        [*pip, "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True, capture_output=True
    )
    return next(folder.glob("guestlist-*.whl"))


def test_wheel_has_every_file_of_the_service(wheel: Path) -> None:
    """Templates, catalogues and static files are in the wheel. Tests are not."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    shipped = {str(path.relative_to(ROOT)) for room in ("service", "schema", "migrations") for path in files_of(room)}
    assert (shipped | {"guestlist.py"}) - names == set()
    assert not [name for name in names if name.startswith("tests/")]


def guestlist(*path: Path) -> tuple[int, str, str]:
    """Runs `guestlist --version` with folders in front of Python's path."""
    done = subprocess.run(  # noqa: S603 -- the command of this environment
        [TOOLS / "guestlist", "--version"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))},
        cwd=TOOLS,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def refusal(file: Path) -> tuple[int, str, str]:
    """Returns the exit status and the output of a `guestlist` that finds a foreign file."""
    line = (
        f"Guestlist cannot start: {file} belongs to another package of the same name. "
        "Install Guestlist in a dedicated environment (uv tool, pipx or Docker) and unset PYTHONPATH.\n"
    )
    return 2, "", line


@pytest.mark.parametrize("name", ["service", "schema", "migrations"])
def test_guestlist_refuses_a_foreign_package_on_the_path(tmp_path: Path, name: str) -> None:
    """Another application's package comes first on the path: one line names it, and its code does not run."""
    foreign = tmp_path / name / "__init__.py"
    foreign.parent.mkdir()
    foreign.write_text("print('foreign code')\n")
    assert guestlist(tmp_path) == refusal(foreign)
    assert guestlist() == (0, f"{version('guestlist')}\n", "")


def test_guestlist_refuses_a_foreign_module_on_the_path(tmp_path: Path) -> None:
    """A single file named schema.py hides the package too."""
    foreign = tmp_path / "schema.py"
    foreign.write_text("print('foreign code')\n")
    assert guestlist(tmp_path) == refusal(foreign)


@pytest.mark.parametrize("name", ["service", "schema", "migrations"])
def test_guestlist_refuses_a_package_that_was_installed_over_its_own(wheel: Path, tmp_path: Path, name: str) -> None:
    """An installed wheel starts. After another package has replaced one of its files, it does not."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    assert guestlist(tmp_path) == (0, f"{version('guestlist')}\n", "")
    replaced = tmp_path / name / "__init__.py"
    replaced.write_text("FOREIGN = True\n")
    assert guestlist(tmp_path) == refusal(replaced)


def files_of(room: str) -> Iterator[Path]:
    for path in (ROOT / room).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path


def test_licence_is_apache_2() -> None:
    """The licence of pyproject.toml is in the repository, with its full text."""
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"
    for part in ("Version 2.0, January 2004", "9. Accepting Warranty", "END OF TERMS AND CONDITIONS", "APPENDIX"):
        assert part in text


# --------------------------------------------------------------------------------------------------------- commands


def make(*arguments: str, folder: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("make")
    assert program
    # Variables that make exports to the tests must not reach the make that they start.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PORT"))}
    return subprocess.run(  # noqa: S603 -- make of this machine
        [program, "--no-print-directory", *arguments],
        cwd=folder,
        env=inherited | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def bare_project(folder: Path) -> Path:
    """Creates a folder in which `make` must set up everything."""
    for name in (*LOCKS, "package.json", "package-lock.json", "pyproject.toml", "Makefile"):
        shutil.copy(ROOT / name, folder)
    (folder / "bin").mkdir()
    return folder


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_make_run_takes_the_port() -> None:
    """PORT=9000 make run starts the service on port 9000. The default is 8000."""
    assert make("--dry-run", "run", PORT="9000").stdout.rstrip().endswith("guestlist dev --port 9000")
    assert make("--dry-run", "run").stdout.rstrip().endswith("guestlist dev --port 8000")


def test_make_run_installs_no_test_tools(tmp_path: Path) -> None:
    """From a fresh clone, `make run` installs by hash, from the runtime lock."""
    said = make("--dry-run", "run", folder=bare_project(tmp_path)).stdout
    assert "--require-hashes -r requirements.lock" in said
    assert "requirements-dev.lock" not in said


def test_make_test_runs_every_check(tmp_path: Path) -> None:
    """From a fresh clone, `make test` installs the dev lock by hash and runs linters, types and tests."""
    said = make("--dry-run", "test", folder=bare_project(tmp_path)).stdout
    checks = ("ruff check", "ruff format --check", "lint-imports", "mypy", "pytest")
    for part in ("--require-hashes -r requirements-dev.lock", "npm ci --ignore-scripts", *checks):
        assert part in said


def test_make_test_continues_without_npm(tmp_path: Path) -> None:
    """Without network for npm, a message is printed and every other check runs. The next run retries."""
    folder = bare_project(tmp_path)
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "ruff", "lint-imports", "mypy", "pytest"):
        program(folder / ".venv" / "bin" / name, "exit 0")
    program(folder / "bin" / "npm", "exit 1")
    for _ in range(2):
        done = make("test", folder=folder, PATH=f"{folder / 'bin'}:{os.environ['PATH']}")
        assert (done.returncode, "passed  pytest" in done.stdout) == (0, True), done.stderr
        assert "No TypeScript compiler" in done.stderr


def test_make_continues_after_a_failed_check_and_fails(tmp_path: Path) -> None:
    """After a lint error, the tests run. The summary names the error, and the exit status is not 0."""
    folder = bare_project(tmp_path)
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name, script in {
        "python": "exit 0",
        "ruff": '[ "$1" = format ]',
        "mypy": "exit 0",
        "pytest": "echo tested",
    }.items():
        program(folder / ".venv" / "bin" / name, script)
    program(folder / "bin" / "npm", "mkdir node_modules")
    done = make("test", folder=folder, PATH=f"{folder / 'bin'}:{os.environ['PATH']}")
    assert done.returncode == 2
    assert "tested" in done.stdout
    assert "FAILED  ruff check" in done.stdout
    assert "passed  mypy" in done.stdout


def test_make_skips_an_old_python(tmp_path: Path) -> None:
    """When python3 is too old or has no venv, a newer Python on the path is used."""
    folder = bare_project(tmp_path)
    program(folder / "bin" / "python3", "exit 1")
    program(folder / "bin" / "python3.12", f'[ "$1" = -c ] || echo "$@" > {folder}/said')
    make(".venv/bin/python", folder=folder, PATH=str(folder / "bin"))
    assert (folder / "said").read_text() == "-m venv --clear .venv\n"


def test_make_names_the_required_python(tmp_path: Path) -> None:
    """Without Python 3.11, nothing is created, and the last lines name the packages to install."""
    folder = bare_project(tmp_path)
    done = make("run", folder=folder, PATH=str(folder / "bin"))
    assert done.returncode == 2
    assert "Guestlist needs Python 3.11 or newer" in done.stderr
    assert not (folder / ".venv").exists()


def test_build_script_is_a_safe_script() -> None:
    """.ci/run stops at the first error, and bash can parse it."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
    subprocess.run(["/bin/bash", "-n", script], check=True)  # noqa: S603 -- only read


@pytest.mark.parametrize(
    ("account", "prepared", "said", "exit_status"),
    [
        (
            "0",
            False,
            [
                "apt-get update",
                "apt-get install -y --no-install-recommends chromium-headless-shell npm",
                "make test true",
            ],
            0,
        ),
        ("0", True, ["make test true"], 0),
        ("1000", False, [], 1),
    ],
    ids=["bare machine", "prepared machine", "no right to install"],
)
def test_build_script_installs_missing_packages(
    tmp_path: Path, account: str, prepared: bool, said: list[str], exit_status: int
) -> None:
    """Only missing packages are installed, and the tests run with CI set. Without root, nothing is changed."""
    log = tmp_path / "log"
    log.touch()
    for name, script in {
        "apt-get": f'echo "apt-get $@" >> {log}',
        "make": f'echo "make $@ $CI" >> {log}',
        "id": f"echo {account}",
        "python3": "exit 0",
        "dirname": 'echo "${1%/*}"',
        **({"chromium-headless-shell": "exit 0", "npm": "exit 0"} if prepared else {}),
    }.items():
        program(tmp_path / name, script)
    done = subprocess.run(  # noqa: S603 -- our own script, among programs that do nothing
        ["/bin/bash", ROOT / ".ci" / "run"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (log.read_text().splitlines(), done.returncode) == (said, exit_status), done.stderr


# -------------------------------------------------------------------------------------------------------- the image


def instructions() -> list[tuple[str, str]]:
    """Returns the instructions of the Dockerfile with their arguments."""
    text = (ROOT / "docker" / "Dockerfile").read_text()
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def test_linter_accepts_the_dockerfile(tmp_path: Path) -> None:
    """hadolint finds nothing in our Dockerfile, and reports an invalid instruction."""
    file, wrong = ROOT / "docker" / "Dockerfile", tmp_path / "Dockerfile"
    wrong.write_text(file.read_text().replace("WORKDIR /build", "WORKDIRECTORY /build"))
    for read, expected in ((file, True), (wrong, False)):
        done = subprocess.run([TOOLS / "hadolint", read], check=False, capture_output=True, text=True)  # noqa: S603 -- reads only
        assert (done.returncode == 0) is expected, done.stdout


def last_stage() -> dict[str, str]:
    everything = instructions()
    begin = max(index for index, (name, _) in enumerate(everything) if name == "FROM")
    return dict(everything[begin:])


def test_image_runs_unprivileged() -> None:
    """The last stage ends as an account that is not root. It is a number, so that Kubernetes can check it."""
    user = last_stage()["USER"]
    assert re.fullmatch(r"[1-9][0-9]+:[1-9][0-9]+", user)


def test_image_has_no_build_tools() -> None:
    """The last stage copies a finished environment and installs no package."""
    names = [name for name, _ in instructions()]
    assert names.count("FROM") == 2
    assert last_stage()["COPY"].startswith("--from=build ")
    assert "pip" not in last_stage()["RUN"]


def test_image_starts_the_service() -> None:
    """The entry point is the command guestlist. Without arguments, it serves on every address of the container."""
    assert json.loads(last_stage()["ENTRYPOINT"]) == ["guestlist"]
    assert json.loads(last_stage()["CMD"]) == ["serve", "--host", "0.0.0.0"]  # noqa: S104 -- a container's
    assert last_stage()["EXPOSE"] == "8000"


def test_image_contains_no_secret() -> None:
    """No instruction sets a setting of the service, and .env files and databases cannot be copied."""
    for name, arguments in instructions():
        assert name not in {"ARG", "ADD"}, arguments
        assert not re.search(r"GUESTLIST_|SECRET|PASSWORD|TOKEN", arguments)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert not [line for line in ignored if line.startswith("!") and (".env" in line or ".git" in line)]


def test_image_is_built_from_existing_files() -> None:
    """Each COPY names existing files that .dockerignore includes."""
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = [
        source
        for name, arguments in instructions()
        if name == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    ]
    assert {source for source in sources if not (ROOT / source).exists()} == set()
    assert set(sources) == let_through


def test_image_installs_by_hash() -> None:
    """Every pip with network checks hashes. The one that installs our wheel has no network."""
    pips = [part for name, run in instructions() if name == "RUN" for part in run.split("&&") if " pip " in part]
    assert len(pips) == 4
    assert [part for part in pips if "--require-hashes" not in part and "--no-index" not in part] == []


@contextmanager
def page_with(status: int) -> Iterator[tuple[int, list[str]]]:
    """Runs a server that answers every request with a status. Yields its port and the requested paths."""
    paths: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Disables the log of requests."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, paths
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "exit_status"), [(200, 0), (503, 1)])
def test_health_check_of_the_image_requests_healthz(status: int, exit_status: int) -> None:
    """The container is healthy exactly when /healthz answers 200."""
    command = json.loads(last_stage()["HEALTHCHECK"].split("CMD ", 1)[1])
    assert command[:2] == ["python", "-c"]
    with page_with(status) as (port, paths):
        done = subprocess.run([sys.executable, "-c", command[2].replace("8000", str(port))], check=False)  # noqa: S603
    assert (done.returncode, paths) == (exit_status, ["/healthz"])


# ----------------------------------------------------------------------------------------------------- the compose file


def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def test_compose_starts_in_order() -> None:
    """The service and the worker wait for the migration, and the migration for a database that answers."""
    services = compose()["services"]
    waits = {
        (name, needed): how["condition"]
        for name, service in services.items()
        for needed, how in service.get("depends_on", {}).items()
    }
    assert {needed for _, needed in waits} <= set(services)
    assert waits["migrate", "database"] == "service_healthy"
    assert waits["service", "migrate"] == waits["worker", "migrate"] == "service_completed_successfully"
    assert "healthcheck" in services["database"]
    assert services["migrate"]["restart"] == "no"


def test_compose_runs_our_image_unprivileged() -> None:
    """The three services share one image, drop every capability, and have a read-only file system."""
    services = compose()["services"]
    ours = [services[name] for name in ("migrate", "service", "worker")]
    assert [service["command"][0] for service in ours] == ["migrate", "serve", "worker"]
    for service in ours:
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        context = ROOT / "docker" / service["build"]["context"]
        assert (context / service["build"]["dockerfile"]).resolve() == ROOT / "docker" / "Dockerfile"


def test_compose_publishes_on_this_machine_only() -> None:
    """The database and the mails cannot be read from the network."""
    services = compose()["services"]
    assert "ports" not in services["database"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def variables(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / "docker" / name).read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_compose_has_valid_settings() -> None:
    """The settings of the compose file are valid, with and without the example's provider."""
    service = compose()["services"]["service"]
    environ = {
        name: re.sub(r"\$\{[^}]*:-([^}]*)\}", r"\1", value) for name, value in service["environment"].items()
    } | variables("mailcatcher.env")
    settings = load_settings(environ=environ)
    assert settings.public_url == "http://localhost:8000"
    assert not settings.is_sqlite
    assert settings.mail_url
    example = {name: value or "filled-in" for name, value in variables("guestlist.env.example").items()}
    assert list(load_settings(environ=environ | example).providers) == ["google"]


def test_compose_reads_its_env_files_in_order() -> None:
    """The operator's file is read last, and is optional."""
    files = compose()["services"]["service"]["env_file"]
    assert [file["path"] for file in files] == ["mailcatcher.env", "guestlist.env"]
    assert files[1]["required"] is False


def readings(file: Path) -> list[list[str]]:
    """Returns the errors by the Compose specification's schema, and by Docker where it is installed. It needs no
    engine.
    """
    found = [[TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file]]
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], check=False, capture_output=True).returncode == 0:  # noqa: S603
        found.append([docker, "compose", "--file", file, "config", "--quiet"])
    return [list(map(str, command)) for command in found]


def test_compose_file_is_valid(tmp_path: Path) -> None:
    """The schema accepts the file, and rejects a misspelt word in it."""
    file, misspelt = ROOT / "docker" / "compose.yaml", tmp_path / "compose.yaml"
    misspelt.write_text(file.read_text().replace("required: false", "requird: false"))
    shutil.copy(file.with_name("mailcatcher.env"), tmp_path)  # only the word is wrong
    for read, expected in ((file, True), (misspelt, False)):
        for command in readings(read):
            done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 -- reads only
            assert (done.returncode == 0) is expected, done.stdout + done.stderr
