"""What the service takes: until it is ready, in memory, and of the processor while nothing happens."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Bound, Row, Target, once, paired
from benchmarks.plan import MIB, Plan
from benchmarks.stores import Stores

GROUP = "service"
IDLE_SECONDS = 10.0
STARTS = 5
LEAVES, ROOTS = 20, 140
READY = Target(Bound.MEASURED, 1.0)
MEMORY = Target(Bound.MEASURED, 60 * MIB)
PROCESSOR = Target(Bound.MEASURED, 0.005)
"""Seconds of processor time a second: what is shown as 0 %."""
IMPORT = Target(Bound.MEASURED, 0.25)
TICKS = os.sysconf("SC_CLK_TCK")


def rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """Start the real program, with all transports that can run here, and look at it from outside."""
    yield _imported()
    size = f"{LEAVES} leaves, {ROOTS} roots"
    with stores.store(LEAVES, ROOTS) as certs, _broker(certs.parent) as broker:
        transports = "HTTP, MQTT" if broker else "HTTP; no mosquitto here"
        configuration = certs / "service.toml"
        configuration.write_text(
            f'certs = "{certs}"\nhttp_listen = ["unix:{certs}/http"]\nmqtt_broker = "{broker}"\n'
            f'ocsp = "off"\nstate_directory = "{certs}/state"\n'
        )
        starts, floors = [], []
        for _ in range(STARTS):
            floors.append(once(_dependencies))
            with _served(configuration, certs) as (process, seconds):
                starts.append(seconds)
        names = {"group": GROUP, "size": size}
        floor_is = "its dependencies imported in a new process"
        what = f"from start to ready ({transports})"
        yield paired(starts, floors, what=what, floor_is=floor_is, target=READY, **names)
        with _served(configuration, certs) as (process, _):
            time.sleep(2)
            before = _processor(process.pid)
            time.sleep(IDLE_SECONDS)
            used = (_processor(process.pid) - before) / IDLE_SECONDS
            memory = _resident(process.pid)
        yield paired([used], [1.0], what="processor, idle", floor_is="all of one", target=PROCESSOR, **names)
        floor = float(_dependencies())
        yield paired([memory], [floor], what="memory, idle", floor_is=floor_is, unit="B", target=MEMORY, **names)


def _imported() -> Row:
    ours = [once(lambda: _run("import evse_security.station")) for _ in range(STARTS)]
    bare = [once(lambda: _run("pass")) for _ in range(STARTS)]
    names = {"group": GROUP, "what": "importing the library", "size": "", "floor_is": "Python alone"}
    return paired(ours, bare, target=IMPORT, **names)


def _run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def _dependencies() -> int:
    """Import what the service imports of others, in a new process; its resident memory in bytes."""
    modules = "asyncio, OpenSSL.crypto, cryptography.x509, starlette.applications, uvicorn, jinja2, aiomqtt"
    measure = "import os; print(int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE'))"
    return int(_run(f"import {modules}, prometheus_client\n{measure}"))


@contextmanager
def _served(configuration: Path, scratch: Path) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The service, ready, and the seconds that took."""
    address = scratch / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(60)
        start = time.perf_counter()
        command = [sys.executable, "-m", "evse_security", "serve", "--config", str(configuration)]
        environment = {**os.environ, "NOTIFY_SOCKET": str(address)}
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            try:
                assert manager.recv(4096).startswith(b"READY=1")
                yield process, time.perf_counter() - start
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
                address.unlink()


@contextmanager
def _broker(scratch: Path) -> Iterator[str]:
    """A broker's address; empty where there is none to start."""
    if shutil.which("mosquitto") is None:
        yield ""
        return
    address, file = scratch / "mqtt", scratch / "mosquitto.conf"
    file.write_text(f"listener 0 {address}\nallow_anonymous true\nset_tcp_nodelay true\n")
    with subprocess.Popen(["mosquitto", "-c", file], stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                if address.exists():
                    break
                time.sleep(0.02)
            yield f"unix:{address}"
        finally:
            process.terminate()
            process.wait(60)


def _processor(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))
