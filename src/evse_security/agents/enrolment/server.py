"""Where an enrolment server is: its URL, and the HTTP proxy that leads there."""

from __future__ import annotations

import urllib.request
from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from evse_security.errors import InvalidConfiguration

KEY = "ocsp_proxy"


def checked_url(url: str, schemes: Sequence[str]) -> SplitResult:
    """An enrolment server's URL in parts. Raises `InvalidConfiguration`."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidConfiguration("enrolment_url", "is no URL") from None
    if parts.scheme not in schemes or not host:
        raise InvalidConfiguration("enrolment_url", f"must begin with {' or '.join(f'{one}://' for one in schemes)}")
    if "@" in parts.netloc:
        raise InvalidConfiguration("enrolment_url", "must hold no user: that is enrolment_user")
    if "{" in url or "}" in url:
        raise InvalidConfiguration("enrolment_url", "must hold no braces but those of {kind} and {edition}")
    if parts.query or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidConfiguration("enrolment_url", "must be a scheme, a host and a path")
    return parts


class Proxy(NamedTuple):
    """An HTTP proxy, and how to log in there."""

    url: str
    host: str
    port: int
    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"  # the URL may hold a password


def proxy_for(server: SplitResult, configured: str) -> Proxy | None:
    """The proxy on the way to a server; None where there is none. Raises `InvalidConfiguration` without its text."""
    url = configured
    if not url and server.hostname and not urllib.request.proxy_bypass(server.hostname):
        url = urllib.request.getproxies().get(server.scheme, "")
    if not url:
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or 3128
    except ValueError:
        raise InvalidConfiguration(KEY, "is no URL") from None
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidConfiguration(KEY, "must be http://HOST:PORT")
    headers = {}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    return Proxy(url, parts.hostname, port, headers)
