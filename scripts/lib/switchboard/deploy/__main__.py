"""Checks what deploy/ holds for Kubernetes, without a cluster: the chart rendered with several values files and held against
Kubernetes' schemas and the rules of the design; NATS values and permissions; the PostgreSQL cluster; generated files."""

import argparse
import os

from .. import machine, ui


def main():
    parser = argparse.ArgumentParser(prog="scripts/check-deploy", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the generated files, then check")
    parser.add_argument(
        "--services",
        metavar="FOLDER",
        help="where built services and switchboardctl are: they read what is rendered for them too",
    )
    arguments = parser.parse_args()
    python, helm = machine.kubernetes_python(), machine.helm()
    # The rest needs packages that this Python may lack.
    command = [str(python), "-m", "switchboard.deploy.check", "--helm", str(helm)]
    command += ["--write"] if arguments.write else []
    command += ["--services", arguments.services] if arguments.services else []
    os.execv(command[0], command)


if __name__ == "__main__":
    ui.run_main(main)
