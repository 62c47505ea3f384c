"""Configuration files, options and variables of the environment, altered; and what holds of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from evse_security.configkeys import all_keys
from evse_security.errors import InvalidConfiguration
from evse_security.settings import PREFIX, settings
from tests.hostile.target import Target
from tests.hostile.trees import altered_octets

PASSWORD = "hunter2 hunter2"
"""In the environment of every attempt; nothing that is said may hold it."""

FILE = b"""certs = "certs"
v2g_ca_bundle = "ca/v2g"
secc_leaf_key_directory = "/var/keys"
csr_lifetime = 3600
keep_newest = 10
csr_key_type = "secp521r1"
csr_dns_names = ["a.example", "*.example"]
csr_ip_addresses = ["192.0.2.1", "2001:db8::1"]
additional_root_certificate_check = true
certificate_profile = "iso15118"
private_key_password_file = "password"
"""
WORDS = (
    b"\nprivate_key_password = 'x'\n", b"\n[table]\n", b"\n[[certs]]\n", b"\ncerts.a.b.c = 1\n", b'"""', b"'''",
    b" = 1e400\n", b" = nan\n", b" = 0x" + b"f" * 6000 + b"\n", b" = " + b"9" * 6000 + b"\n", b"1979-05-27T07:32:00Z",
    b"[" * 400, b"{a=" * 400, b'"\\u0000"', b'"\\udcff"', b'"\\U00110000"', b"\xff\xfe", b"-1", b"true", b'""', b"\0",
)  # fmt: skip
VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["", "\0", "\udcff", "9" * 5000, "-1", "true", "/", "certs", "::1", ",", "a,b,,", "/dev/null"]),
)


@cache
def _room() -> tempfile.TemporaryDirectory[str]:
    """A directory for the files, as long as the process lasts."""
    room = tempfile.TemporaryDirectory()
    Path(room.name, "password").write_text("a password\n")
    return room


def check_file(content: bytes) -> None:
    """A file is a configuration, or what is wrong with it is said."""
    file = Path(_room().name, "file.toml")
    file.write_bytes(content)
    _check({"config": str(file)}, {})


def check_words(given: tuple[Mapping[str, str], Mapping[str, str]]) -> None:
    """The same for options and the environment."""
    options, environment = given
    _check({"certs": "/nowhere/certs", **options}, {PREFIX + key.upper(): text for key, text in environment.items()})


def _check(options: Mapping[str, str], environment: Mapping[str, str]) -> None:
    variables = {PREFIX + "PRIVATE_KEY_PASSWORD": PASSWORD, **environment}
    try:
        found = settings(options=options, environment=variables)
        config = found.station_config()
        shown: list[Any] = [config, found, *found.effective()]
    except InvalidConfiguration as refusal:
        shown = [str(refusal), repr(refusal)]
    else:
        assert all(os.path.isabs(value) for value in vars(config).values() if isinstance(value, Path))
    assert PASSWORD not in repr(shown)


_words = st.dictionaries(st.sampled_from(sorted(all_keys())), VALUES, max_size=3)

TARGETS = {
    "configuration file": Target(altered_octets(st.just(FILE), WORDS), check_file),
    "options": Target(st.tuples(_words, _words), check_words, 80),
}
