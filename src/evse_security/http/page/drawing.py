"""Drawing templates. What comes from elsewhere, such as names in certificates, cannot act: not as HTML, not as text."""

from __future__ import annotations

import functools
import shlex
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from evse_security.http.page import words
from evse_security.visible import printable


def drawn(template: str, **given: Any) -> str:
    """A page, or a part of one."""
    return _environment().get_template(template).render(**given)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("evse_security.http.page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        day=words.day,
        minute=words.minute,
        grouped=words.grouped,
        sentence=words.sentence,
        download=words.download,
        lines=_lines,
        command=shlex.join,
    )
    return environment


def _visible(value: Any) -> Any:
    """Whatever is put into a template: one line, with what is not seen but acts made visible."""
    if value is None:
        return ""
    if isinstance(value, Markup):  # made by macros and filters here, of what went through this
        return value
    return printable(value if type(value) is str else str(value))


def _lines(text: str) -> Markup:
    """Text of several lines, such as PEM."""
    return Markup("\n").join(escape(printable(line)) for line in text.splitlines())
