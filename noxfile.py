"""Every check of the workspace; ``uv run nox -l`` lists them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True
# Skipped where it is missing on a laptop; CI must have every one of them.
nox.options.error_on_missing_interpreters = "CI" in os.environ
nox.options.download_python = "never"
# The tests start hundreds of processes; each would compile all that it imports anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

PYTHONS = ["3.11", "3.12", "3.13"]
OLDEST = PYTHONS[0]
PACKAGES = sorted(p.parent.name for p in Path("packages").glob("*/pyproject.toml"))
# The rest of the pipeline's tests never meets an optional package.
TOUCHED_BY_EXTRAS = {
    "aip-pipeline": ("-k", "embedder or export or dead or prometheus or otel")
}
# Where branches are counted: the readers take some only where every extra is there.
COUNTED = {("tests", "aip-pipeline"), ("extras", "aip-readers")}
# Two at a time, as much of it is waiting; who is done takes over from the other.
IN_TWO = "--numprocesses=2", "--dist=worksteal"
# The first also runs in a short form, among the tests of its package.
PROOFS = [f"tests/test_{name}.py" for name in ("simulation", "torture", "full_disk")]
SHARED = Path(".nox/shared").absolute()
PINS, OURS = SHARED / "pins.txt", SHARED / "ours.txt"


def uv(session: nox.Session, *args: str) -> None:
    """Run uv itself, quietly unless it fails."""
    session.run_install("uv", *args, external=True, silent=True)


def sync(session: nox.Session, *groups: str) -> None:
    """Fill the session's environment from uv.lock, every member editable."""
    wanted = [f"--group={group}" for group in groups]
    uv(session, "sync", "--locked", "--no-default-groups", *wanted)


def install_wheel(session: nox.Session, package: str, *options: str) -> None:
    """Install *package*'s wheel, what it declares, the test group; no more."""
    (wheel,) = SHARED.glob(f"{package.replace('-', '_')}-*.whl")
    session.install(
        f"--reinstall-package={package}",
        f"--constraint={OURS}",
        *options,
        f"{package} @ {wheel.as_uri()}",
        "--group=test",
    )


def run_tests(session: nox.Session, package: str, *options: str) -> None:
    """Run a package's own tests."""
    with session.chdir(f"packages/{package}"):
        session.run("pytest", *IN_TWO, *options, *session.posargs)


def count_branches(session: nox.Session, package: str) -> None:
    """Run the tests; fail if those that leave nothing to chance leave out a branch.

    Which modules are counted says the package's pyproject.toml.
    """
    counted = "--cov", "--cov-config=pyproject.toml"
    run_tests(session, package, "-m", "not hypothesis", *counted)
    run_tests(session, package, "-m", "hypothesis")


def is_counted(session: nox.Session, kind: str, package: str) -> bool:
    """Tell whether this is the session for it, and all tests are run."""
    return (kind, package) in COUNTED and not session.posargs


@nox.session(python=OLDEST, default=False)
def wheels(session: nox.Session) -> None:
    """Build every package once, and write the pins the test sessions share."""
    for old in SHARED.glob("*.whl"):
        old.unlink()
    uv(session, "build", "--all-packages", "--wheel", f"--out-dir={SHARED}")
    built = sorted(SHARED.glob("aip_*.whl"))
    names = [path.name.split("-")[0].replace("_", "-") for path in built]
    pairs = zip(names, built, strict=True)
    OURS.write_text("".join(f"{name} @ {path.as_uri()}\n" for name, path in pairs))
    what = "--all-packages", "--all-groups", "--no-emit-workspace", "--no-hashes"
    uv(session, "export", "--locked", *what, f"--output-file={PINS}")


@nox.session(python=PYTHONS, requires=["wheels"])
@nox.parametrize("package", PACKAGES)
def tests(session: nox.Session, package: str) -> None:
    """Test one package's wheel beside its declared dependencies, as locked."""
    install_wheel(session, package, f"--constraint={PINS}")
    if session.python == OLDEST and is_counted(session, "tests", package):
        count_branches(session, package)
    else:
        run_tests(session, package)


@nox.session(python=OLDEST, requires=["wheels"])
@nox.parametrize("package", PACKAGES)
def lowest(session: nox.Session, package: str) -> None:
    """Test one package's wheel beside the oldest dependencies it admits."""
    # Named here, they are direct: what only the wheel asks for would come newest.
    project = nox.project.load_toml(f"packages/{package}/pyproject.toml")["project"]
    floors = [name for name in project["dependencies"] if not name.startswith("aip-")]
    install_wheel(session, package, "--resolution=lowest-direct", *floors)
    run_tests(session, package)


@nox.session(python=OLDEST, requires=["wheels"])
@nox.parametrize("package", PACKAGES)
def extras(session: nox.Session, package: str) -> None:
    """Test one package's wheel beside everything that it can make use of."""
    project = nox.project.load_toml(f"packages/{package}/pyproject.toml")["project"]
    optional = project["optional-dependencies"].values()
    wanted = [name for names in optional for name in names]
    ours = [name for name in wanted if name.startswith("aip-")]
    install_wheel(session, package, f"--constraint={PINS}", *set(wanted) - set(ours))
    if is_counted(session, "extras", package):
        count_branches(session, package)
    else:
        run_tests(session, package, *TOUCHED_BY_EXTRAS.get(package, ()))


@nox.session(python=OLDEST, requires=["wheels"])
def proof(session: nox.Session) -> None:
    """Prove the pipeline's laws in full: simulated lives, real kills, real disks."""
    install_wheel(session, "aip-pipeline", f"--constraint={PINS}")
    run_tests(session, "aip-pipeline", "--proof", *PROOFS)


@nox.session(python=PYTHONS)
def typing(session: nox.Session) -> None:
    """Check every member, its tests and this file, strictly."""
    sync(session, "typing", "nox")
    session.run("mypy", f"--python-version={session.python}")


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Format, lint, and check which package imports which."""
    sync(session, "lint")
    session.run("ruff", "format", "--check")
    session.run("ruff", "check")
    session.run("codespell")
    session.run("lint-imports")
    for member in [*(f"packages/{package}" for package in PACKAGES), "labs"]:
        with session.chdir(member):
            session.run("deptry", "src")


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """Run every example of the docstrings, READMEs and docs; build the site."""
    sync(session, "docs", "test")
    everything = "README.md", "docs", "labs/README.md", "packages", "labs/src"
    how = *IN_TWO, "-c", "docs/pytest.ini", "--rootdir=."
    session.run("pytest", *how, *everything)
    options = "-W", "-n", "--keep-going", "-q"
    session.run("sphinx-build", *options, "docs", "docs/_build")
    session.run("python", "docs/check_site.py", "docs/_build")


@nox.session(python=OLDEST)
def labs(session: nox.Session) -> None:
    """Run the experiments in their quick form."""
    sync(session, "test")
    with session.chdir("labs"):
        # 5: of the tests asked for, none is of this kind.
        codes = [0, 5] if session.posargs else [0]
        for which in (*IN_TWO, "-m", "not alone"), ("-m", "alone"):
            session.run("pytest", *which, *session.posargs, success_codes=codes)


@nox.session(python=OLDEST, default=False)
def fuzz(session: nox.Session) -> None:
    """Run each reader on 100,000 inputs that atheris makes up."""
    if sys.platform != "linux":
        session.skip("atheris has wheels for Linux only")
    sync(session, "fuzz")
    program = "packages/aip-readers/tests/fuzz_readers.py"
    session.run("python", program, *(session.posargs or ["-runs=100000"]))


@nox.session(python=OLDEST, default=False)
def build(session: nox.Session) -> None:
    """Build sdist and wheel of what would be published, and check them."""
    session.install("twine>=6")
    out = Path("dist")
    for package in session.posargs or PACKAGES:
        uv(session, "build", f"--package={package}", f"--out-dir={out}")
    built = [*out.glob("*.whl"), *out.glob("*.tar.gz")]
    session.run("twine", "check", "--strict", *map(str, built))
