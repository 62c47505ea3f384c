"""Logging in with a browser: a form that takes a token once, and a session in its place."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from evse_security.http.auth import Access, NotAuthenticated, TooManyAttempts, cookie_name
from evse_security.http.replies import of_other_form
from evse_security.http.sessions import LASTS

FIELDS = 10
"""Of a form; ours has one."""
FORM = "application/x-www-form-urlencoded"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in – charging station certificates</title>
<link rel="stylesheet" href="/login.css">
</head>
<body>
<main>
<h1>Log in</h1>
%s<form method="post" action="/login">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus
 aria-describedby="how">
<p id="how">Made on the station with <code>evse-security token add NAME --scope install</code>.</p>
<button>Log in</button>
</form>
</main>
</body>
</html>
"""
_PROBLEM = '<p role="alert" class="problem">%s</p>\n'
_WRONG = "This token is not valid: mistyped, revoked or expired."

_STYLE = """:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif }
body { margin: 0; display: grid; place-items: center; min-height: 100vh }
main { width: min(26rem, 100% - 2rem) }
label { display: block; font-weight: 600 }
input, button { font: inherit; padding: .5rem .75rem; box-sizing: border-box }
input { width: 100% }
.problem { border-inline-start: .3rem solid #c62828; padding-inline-start: .75rem }
"""


def routes(access: Access) -> list[Route]:
    """The form, logging in and logging out."""

    async def log_in(request: Request) -> Response:
        if request.method != "POST":
            return HTMLResponse(_PAGE % "")
        other = of_other_form(request, FORM)
        if other is not None:
            return other
        try:
            session = await access.log_in(request, _token(await request.body()))
        except TooManyAttempts as refused:
            page = _PAGE % (_PROBLEM % f"Too many failed attempts. Try again in {refused.seconds} seconds.")
            return HTMLResponse(page, 429, {"retry-after": str(refused.seconds)})
        except NotAuthenticated:
            return HTMLResponse(_PAGE % (_PROBLEM % _WRONG), 401)
        return _to("/", request, session)

    async def log_out(request: Request) -> Response:
        access.log_out(request)
        return _to("/login", request, "")

    async def style(_: Request) -> Response:
        return Response(_STYLE, media_type="text/css")

    return [
        Route("/login", log_in, methods=["GET", "POST"]),
        Route("/login.css", style),
        Route("/logout", log_out, methods=["POST"]),
    ]


def _token(form: bytes) -> str:
    """What was typed, without what copying adds to it."""
    try:
        fields = parse_qs(form.decode("ascii", "replace"), max_num_fields=FIELDS, errors="replace")
    except ValueError:  # more fields
        return ""
    return fields.get("token", [""])[0].strip()


def _to(path: str, request: Request, session: str) -> Response:
    """Send a browser on, with its session in a cookie that only this host's own pages send along; or without any."""
    answer = RedirectResponse(path, 303)
    answer.set_cookie(
        cookie_name(request),
        session,
        max_age=int(LASTS) if session else 0,
        secure=request.scope["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )
    return answer
