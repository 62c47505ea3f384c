"""What people hand over in the forms of the page: bounded, and in one form."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from evse_security.serve.given import pem_of

LARGEST = 256 << 10
"""Bytes of certificates: a hundred of them. Chains have five at most."""
MOST_FIELDS = 16

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Unusable(Exception):
    """Something in a form cannot be used; the message says what to do about it."""


@asynccontextmanager
async def form_of(request: Request) -> AsyncIterator[FormData]:
    """The fields of a form. What is not one raises starlette's `HTTPException`."""
    try:
        form = await request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=2 * LARGEST)
    except FormParserError:  # which older versions of starlette let through
        raise HTTPException(400, "That is no form.") from None
    try:
        yield form
    finally:
        await form.close()


def field(form: FormData, name: str) -> str:
    """The text of a field; empty if it is not there."""
    value = form.get(name)
    return value if isinstance(value, str) else ""


async def certificates(form: FormData) -> str:
    """The certificates (PEM) of a form: as previewed before, from a file, or pasted. Raises `Unusable`."""
    if field(form, "certificates"):
        return previewed(field(form, "certificates"))
    file, pasted = form.get("file"), field(form, "text").strip()
    content = await file.read(LARGEST + 1) if isinstance(file, UploadFile) else b""
    if content and pasted:
        raise Unusable("Give a file or paste text, not both: which of the two is meant?")
    if not content and not pasted:
        raise Unusable("Choose a file or paste the certificates.")
    if max(len(content), len(pasted)) > LARGEST:
        raise Unusable(f"That is more than {LARGEST >> 10} KiB, which no chain of certificates is.")
    try:
        return pem_of(content) if content else pasted
    except ValueError:
        raise Unusable("This file is neither PEM nor DER.") from None


def carried(text: str) -> str:
    """Certificates as a hidden field carries them: browsers change the ends of lines of text, but not these."""
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")


def previewed(carried_text: str) -> str:
    """The very certificates that were previewed. Raises `Unusable`."""
    try:
        return base64.b64decode(carried_text, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise Unusable("What was previewed did not arrive whole. Start again.") from None


def each(text: str, most: int = 10) -> tuple[str, ...]:
    """The first certificates of a text, each by itself."""
    return tuple(found[0] + "\n" for found, _ in zip(_BLOCK.finditer(text), range(most), strict=False))
