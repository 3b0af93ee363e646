"""deploy/README.md is followed: its commands are read by a shell, its example of values is rendered, and the block that makes
the Secrets is run, with stand-ins for what needs a cluster. What it makes must be what chart, broker and databases ask for."""

import json
import os
import re
import subprocess

from . import generate

README = generate.DEPLOY / "README.md"

KUBECTL = """\
#!/usr/bin/env python3
import json, os, pathlib, sys
arguments = sys.argv[1:]
made = {}
for flag, value in zip(arguments, arguments[1:]):
    if flag == "--from-file":
        path = pathlib.Path(value)
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            made[file.name] = file.read_text()
with open(os.environ["KUBECTL_LOG"], "a") as log:
    log.write(json.dumps({"arguments": arguments, "made": made}) + "\\n")
"""
# Where the real one is not at hand. It must be called as the real one can be.
SWITCHBOARDCTL = """\
#!/usr/bin/env bash
set -euo pipefail
case "$1 $2" in
  "keys init") [[ $3 == --dir ]]; mkdir -p "$4"; for file in signing.pem jwks.json seal.key; do echo made >"$4/$file"; done ;;
  "token --key") [[ -e $3 && $4 == --internal && $5 == --service && $7 == --ttl ]]; echo "token of $6" ;;
  *) exit 2 ;;
esac
"""


def blocks(language):
    text = README.read_text()
    return re.findall(rf"(<!-- [a-z]+ -->\n)?```{language}\n(.*?)```", text, re.DOTALL)


def unreadable():
    for _, block in blocks("sh"):
        done = subprocess.run(["bash", "-n", "-c", block], capture_output=True, text=True, check=False)
        if done.returncode:
            yield f"no shell reads: {block}: {done.stderr.strip()}"
        for file in re.findall(r"(?:--values|--filename|--file) (deploy/\S+)", block):
            if not (generate.DEPLOY.parent / file).exists():
                yield f"there is no {file}"


def example(folder):
    """The values of the example, as a file."""
    found = [block for _, block in blocks("yaml")]
    file = folder / "example.yaml"
    file.write_text(found[0])
    return file


def made(folder, services):
    """{(kind, name): {key: content}} of what the block `secrets` makes, with the types of Secrets."""
    block = next(block for mark, block in blocks("sh") if mark == "<!-- secrets -->\n")
    bin_, log = folder / "bin", folder / "kubectl.log"
    bin_.mkdir()
    programs = {"kubectl": KUBECTL} | ({} if services else {"switchboardctl": SWITCHBOARDCTL})
    for name, text in programs.items():
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)
    if services:
        (bin_ / "switchboardctl").symlink_to((services / "switchboardctl").absolute())
    # People's own settings of the command line would change what it makes.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHBOARD")}
    environment |= {
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "KUBECTL_LOG": str(log),
        "TMPDIR": str(folder),
        "HOME": str(folder),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return None, done.stderr.strip()
    found = {}
    for line in log.read_text().splitlines():
        call = json.loads(line)
        words = [word for word in call["arguments"] if not word.startswith("-")]
        if words[:2] == ["create", "secret"]:
            found["Secret", words[3]] = call["made"]
            if "--type" in call["arguments"]:
                found["Secret", words[3]]["type"] = call["arguments"][call["arguments"].index("--type") + 1]
        elif words[:2] == ["create", "configmap"]:
            found["ConfigMap", words[2]] = call["made"]
    return found, ""


def asked_for(rendered):
    """(kind, name, key) of what pods take from what is there already."""
    for _, pod, *_ in rendered.workloads():
        for each in pod["containers"]:
            for variable in each.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    yield "Secret", reference["name"], reference["key"]
        for volume in pod.get("volumes", []):
            for source in volume.get("projected", {}).get("sources", []):
                for field, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
                    if field in source:
                        yield from ((kind, source[field]["name"], item["key"]) for item in source[field]["items"])


def followed(folder, services, rendered, nats_values, postgres):
    found, error = made(folder, services)
    if found is None:
        yield f"the block that makes the Secrets fails: {error}"
        return
    needed = set(asked_for(rendered))
    for variable in nats_values["container"]["env"].values():
        if isinstance(variable, dict):
            needed.add(
                ("Secret", variable["valueFrom"]["secretKeyRef"]["name"], variable["valueFrom"]["secretKeyRef"]["key"])
            )
    cluster = next(each for each in postgres if each["kind"] == "Cluster")
    roles = {role["name"]: role["passwordSecret"]["name"] for role in cluster["spec"]["managed"]["roles"]}
    needed |= {("Secret", name, key) for name in roles.values() for key in ("username", "password")}
    for kind, name, key in sorted(needed):
        if not found.get((kind, name), {}).get(key, "").strip():
            yield f"nothing makes {key} of {kind} {name}"
    for (kind, name), content in sorted(found.items()):
        for key in content:
            if key != "type" and (kind, name, key) not in needed:
                yield f"{key} of {kind} {name} is made for nobody"

    databases = {each["spec"]["owner"]: each["spec"]["name"] for each in postgres if each["kind"] == "Database"}
    passwords = found["Secret", "switchboard-nats-passwords"]
    for service in generate.SERVICES:
        role = service.replace("-", "_")
        secret = found["Secret", roles[role]]
        if secret.get("type") != "kubernetes.io/basic-auth" or secret["username"] != role:
            yield f"{roles[role]} is not what the operator reads"
        address = f"postgres://{role}:{secret['password']}@{cluster['metadata']['name']}-rw:5432/{databases[role]}"
        if found["Secret", "switchboard-database"][service] != address:
            yield f"the database's address of {service} does not fit role, password and cluster"
        if found["Secret", "switchboard-nats"][service] != f"nats://{service}:{passwords[service]}@nats:4222":
            yield f"the broker's address of {service} does not fit user and password"
    secrets = [value for content in found.values() for key, value in content.items() if key == "password"] + list(
        passwords.values()
    )
    if len(set(passwords.values())) != len(passwords) or any(not re.fullmatch(r"p[0-9a-f]{48}", each) for each in secrets):
        yield "passwords are not each their own"
