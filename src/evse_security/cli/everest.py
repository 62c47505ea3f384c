"""Put this security module into an EVerest in place of its own, or take it away again.

What was there is kept beside it, and `uninstall` puts it back as it was. The module has a Python environment of its
own; it sees the packages of the installation that made it, unless --from says what to install into it. Without them
there is no module: while it is in use, the installation must stay, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from evse_security.cli.voice import Unusable, answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to do, and where."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    install = actions.add_parser("install", help="put the module there, or write it anew")
    install.add_argument("prefix", metavar="PREFIX", type=Path, help="where EVerest is installed")
    install.add_argument(
        "--from",
        dest="source",
        metavar="WHAT",
        help="have pip install it from a wheel, a directory or a requirement such as 'evse-security[mqtt]'",
    )
    uninstall = actions.add_parser("uninstall", help="take it away and put back what was there")
    uninstall.add_argument("prefix", metavar="PREFIX", type=Path, help="where EVerest is installed")
    actions.add_parser("manifest", help="print the module's manifest.yaml")


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    from evse_security.everest import installation
    from evse_security.everest.manifest import manifest

    try:
        match arguments.action:
            case "install":
                done = f"installed {installation.install(arguments.prefix, arguments.source)}"
            case "uninstall":
                restored = installation.uninstall(arguments.prefix)
                done = "uninstalled" if restored is None else f"uninstalled, and put back {restored}"
            case _:
                done = manifest().removesuffix("\n")
    except OSError as problem:
        raise Unusable(f"{problem.filename or arguments.prefix}: {problem.strerror}") from None
    answer(done)
    return 0
