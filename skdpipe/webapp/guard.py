"""Which requests are answered: those for this host, with the token, and from the page itself."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE: Final = "skdpipe-token"
MARK: Final = "x-skdpipe"
"""A header of each request that changes something. Another site cannot send it without permission (CORS)."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_READING: Final = frozenset({"GET", "HEAD"})


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Middleware that refuses requests and adds headers of safety to answers.

    Args:
        app: answers the requests.
        host: under which the application is reached. If it is not a loopback address, also all addresses and
            the name of this machine are accepted; then there must be a token.
        token: needed in a cookie, which the page sets from ``?token=``; empty if none is needed.
    """

    def __init__(self, app: ASGIApp, host: str, token: str) -> None:
        self._app, self._host, self._token = app, host, token
        self._is_open = not is_loopback(host)
        own = (host, socket.gethostname()) if self._is_open else (host,)
        self._names = _LOOPBACK | {each.lower() for each in own}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse one request."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return None
        headers = Headers(scope=scope)
        given = self._token_of(scope, headers)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answer.setdefault(name, value)
                if given:
                    answer.append("set-cookie", f"{COOKIE}={given}; Path=/; HttpOnly; SameSite=Strict")
            await send(message)

        refusal = self._refusal(scope, headers, given)
        if refusal is not None:
            status, text = refusal
            return await JSONResponse({"error": text}, status)(scope, receive, send_safely)
        return await self._app(scope, receive, send_safely)

    def _refusal(self, scope: Scope, headers: Headers, given: str) -> tuple[int, str] | None:
        if not self._is_host(headers.get("host", "")):
            return 400, "the address of the page is not that of skdpipe; use the one that skdpipe app prints"
        if self._token and not given and not self._has_cookie(headers):
            return 403, "the token is missing or wrong; open the whole address that skdpipe app prints"
        if scope["method"] not in _READING:
            origin = urlsplit(headers.get("origin", "")).netloc
            if headers.get(MARK) != "1" or origin != headers.get("host"):
                return 403, "the request does not come from the page; use the page"
        return None

    def _is_host(self, header: str) -> bool:
        try:
            name = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._is_open

    def _token_of(self, scope: Scope, headers: Headers) -> str:
        """The token in the address of the page, if it is right."""
        if not self._token or scope["path"] != "/":
            return ""
        found = parse_qs(scope["query_string"].decode("ascii", "replace")).get("token", [""])[0]
        return self._token if _is_equal(found, self._token) else ""

    def _has_cookie(self, headers: Headers) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and _is_equal(cookie.value, self._token)


def _is_equal(found: str, token: str) -> bool:
    return secrets.compare_digest(found.encode(), token.encode())
