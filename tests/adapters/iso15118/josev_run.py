"""A whole Plug & Charge session of Josev: its SECC with what a station has, its EVCC simulator as the car.

    unshare -n python -m tests.adapters.iso15118.josev_run ours|exported DIRECTORY

It needs root (for a network of its own, with a virtual cable), Java 17, and the environment of `make josev`. The logs
of both sides are left in the directory, as `secc.log` and `car.log`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from evse_security import Station, StationConfig
from evse_security.adapters.iso15118 import Edition, server_context
from evse_security.adapters.iso15118.files import export
from evse_security.adapters.iso15118.josev import serve_josev
from evse_security.lab import hierarchy
from evse_security.lab.layouts import write_everest, write_iso15118

CAR = {
    "supportedProtocols": ["ISO_15118_2"],
    "useTls": True,
    "enforceTls": True,
    "chargeLoopCycle": 1,
    "sdpRetryCycles": 8,  # on a busy machine its Java may be too slow at first for the 2 s that a car waits
}
SETTINGS = {
    "SECC_ENFORCE_TLS": "True",
    "PROTOCOLS": "ISO_15118_2",
    "AUTH_MODES": "PNC",
    "LOG_LEVEL": "INFO",
    "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # it does not live for long
}
CABLE = ("link set lo up", "link add secc type veth peer name car", "link set secc up", "link set car up")
PATIENCE = 90
OURS, EXPORTED = "ours", "exported"


def serve(directory: Path) -> None:
    """Be the SECC with the context of a station, until killed."""
    from iso15118.secc import main  # type: ignore[import-not-found,unused-ignore]

    with Station.open(StationConfig.under(directory / "certs")) as station:
        serve_josev(server_context(station), station)
        main.run()


def _until(is_so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)


def _plug_in() -> None:
    """Lay the cable. Its addresses need no second to find out that they are nobody else's."""
    Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
    for command in CABLE:
        subprocess.run(["ip", *command.split()], check=True)
    show = ["ip", "-6", "-o", "address", "show", "scope", "link", "-tentative"]
    _until(lambda: subprocess.run(show, check=True, capture_output=True).stdout.count(b"fe80") == 2, "no addresses")


def session(how: str, directory: Path) -> None:
    """Plug in, charge, and end the session, as the car does it by itself."""
    pki = hierarchy.make_pki(hierarchy.Edition.ISO15118_2, now=datetime.now(UTC))
    write_everest(pki, directory / "certs")
    write_iso15118(pki, directory / "car")
    (directory / "car.json").write_text(json.dumps(CAR))
    secc_reads = directory / "nothing"
    secc = [sys.executable, "-m", "tests.adapters.iso15118.josev_run", str(directory)]
    if how == EXPORTED:
        secc_reads, secc = directory / "josev", [sys.executable, "-m", "iso15118.secc.main"]
        with Station.open(StationConfig.under(directory / "certs")) as station:
            export(station, secc_reads, Edition.ISO15118_2)
    _plug_in()
    common = {**os.environ, **SETTINGS}
    car = [sys.executable, "-m", "iso15118.evcc.main", str(directory / "car.json")]
    for_secc = {**common, "NETWORK_INTERFACE": "secc", "PKI_PATH": f"{secc_reads}/"}
    for_car = {**common, "NETWORK_INTERFACE": "car", "PKI_PATH": f"{directory}/car/"}
    log = directory / "secc.log"
    with open(log, "w") as said, open(directory / "car.log", "w") as said_by_car:
        serving = subprocess.Popen(secc, env=for_secc, stdout=said, stderr=said)
        try:
            _until(lambda: "UDP server" in log.read_text() or serving.poll() is not None, "the SECC does not begin")
            subprocess.run(car, env=for_car, stdout=said_by_car, stderr=said_by_car, timeout=PATIENCE, check=False)
        finally:
            serving.terminate()
            serving.wait(PATIENCE)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        session(sys.argv[1], Path(sys.argv[2]))
    else:
        serve(Path(sys.argv[1]))
