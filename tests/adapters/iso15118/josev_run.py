"""A whole Plug & Charge session of Josev: its SECC with the context of a station, its EVCC simulator as the car.

    unshare -n python -m tests.adapters.iso15118.josev_run

It needs root (for a network of its own, with a virtual cable), Java 17, and an environment with `iso15118`, `aiofile`,
`pyOpenSSL==25.0.0` and this package. It prints the last words of both sides and exits with 0 if the car charged.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from evse_security import Station, StationConfig
from evse_security.adapters.iso15118 import server_context
from evse_security.adapters.iso15118_josev import serve_josev
from evse_security.lab.hierarchy import Edition, make_pki
from evse_security.lab.layouts import write_everest, write_iso15118

CAR = {"supportedProtocols": ["ISO_15118_2"], "useTls": True, "enforceTls": True, "chargeLoopCycle": 3}
SETTINGS = {"SECC_ENFORCE_TLS": "True", "PROTOCOLS": "ISO_15118_2", "AUTH_MODES": "PNC", "LOG_LEVEL": "INFO"}
PATIENCE = 60


def serve(certs: Path) -> None:
    """Be the SECC, until killed."""
    from iso15118.secc import main  # type: ignore[import-not-found,unused-ignore]

    with Station.open(StationConfig.under(certs)) as station:
        serve_josev(server_context(station))
        main.run()


def session(directory: Path) -> bool:
    """Plug in, and say whether the car charged over TLS and ended the session by itself."""
    pki = make_pki(Edition.ISO15118_2, now=datetime.now(UTC))
    write_everest(pki, directory / "certs")
    write_iso15118(pki, directory / "josev")
    (directory / "car.json").write_text(json.dumps(CAR))
    for command in ("link set lo up", "link add secc type veth peer name car", "link set secc up", "link set car up"):
        subprocess.run(["ip", *command.split()], check=True)
    time.sleep(3)  # until the addresses are known to be nobody else's
    common = {**os.environ, **SETTINGS, "PKI_PATH": f"{directory}/josev/"}
    secc = [sys.executable, "-m", "tests.adapters.iso15118.josev_run", str(directory / "certs")]
    car = [sys.executable, "-m", "iso15118.evcc.main", str(directory / "car.json")]
    with open(directory / "secc.log", "w") as log:
        serving = subprocess.Popen(secc, env={**common, "NETWORK_INTERFACE": "secc"}, stdout=log, stderr=log)
    try:
        time.sleep(5)
        ran = subprocess.run(
            car,
            env={**common, "NETWORK_INTERFACE": "car"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        serving.terminate()
        serving.wait()
    told = (directory / "secc.log").read_text()
    print(*told.splitlines()[-5:], *ran.stdout.splitlines()[-5:], sep="\n")
    charged = "ChargingStatusRes received" in ran.stdout and "SessionStopRes received" in ran.stdout
    return charged and "ISO 15118-2 over TLS 1.2: " in told and "TLS server started" in told


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            sys.exit(0 if session(Path(scratch)) else 1)
