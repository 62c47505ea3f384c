"""Throw schemathesis at a service that runs: `python -m tests.http.schemathesis_run SCHEMATHESIS [OPTIONS …]`."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from evse_security.http import stream
from evse_security.lab.hierarchy import Edition, make_pki
from evse_security.lab.layouts import write_everest
from tests.builders import NOW, key_source
from tests.http.kit import Told, loopback, serving

stream.LASTS = 0.2  # or it would wait for the end of a stream


async def main(program: str, *options: str) -> int:
    with tempfile.TemporaryDirectory() as directory:
        certs = Path(directory) / "certs"
        write_everest(make_pki(Edition.ISO15118_2, now=NOW, keys=key_source), certs)
        shutil.rmtree(certs / "lab")
        async with serving(certs, loopback(), renewals=Told(), max_store_entries=100) as running:
            url = f"{running.url}/openapi.json"
            process = await asyncio.create_subprocess_exec(program, "run", url, *options)
            return await process.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
