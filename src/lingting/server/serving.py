"""The web process: where it may listen, and how it runs until it is told to stop."""

from __future__ import annotations

import errno
import gc
import ipaddress
import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from lingting.config import Settings
from lingting.errors import BindingRefused, LingtingError

if TYPE_CHECKING:
    from lingting.server.service import Service

log = logging.getLogger("lingting.server")

_GRACE_S = 5
_KEEP_ALIVE_S = 15
_BACKLOG = 512
_CONNECTIONS = 2_000
_TRY_AGAIN_S = 2.0


def address_of(settings: Settings) -> str:
    """What to type into a browser on this machine."""
    scheme = "https" if settings.tls_certificate is not None else "http"
    host = settings.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_binding(settings: Settings, *, has_administrator: bool) -> None:
    """Raises BindingRefused where others could reach a service that is not protected."""
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise BindingRefused(
            "Of certificate and key only one is set.",
            "Set LINGTING_TLS_CERTIFICATE and LINGTING_TLS_KEY.",
        )
    if is_loopback(settings.host):
        return
    if settings.tls_certificate is None and not settings.behind_proxy:
        raise BindingRefused(
            "Other machines could reach this address, and nothing encrypts what they send.",
            "Set LINGTING_TLS_CERTIFICATE and LINGTING_TLS_KEY, or give --behind-proxy when a "
            "proxy does that.",
        )
    if not has_administrator:
        raise BindingRefused(
            "Other machines could reach this address, and there is no administrator yet.",
            "Start on 127.0.0.1 first and set the password by the link that is printed.",
        )


def bound_socket(settings: Settings) -> socket.socket:
    """A listening socket. Raises BindingRefused when the address is taken or not ours."""
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, number, _, address = found[0]
        made = socket.socket(family, kind, number)
    except OSError as exc:
        raise BindingRefused("LINGTING_HOST is no address of this machine.") from exc
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)
        made.set_inheritable(False)
    except OSError as exc:
        made.close()
        if exc.errno == errno.EADDRINUSE:
            raise BindingRefused(
                f"Port {settings.port} is taken by another program.",
                "Choose another with --port, or see `lingting status`.",
            ) from exc
        raise BindingRefused(
            f"Port {settings.port} cannot be listened on: {exc.strerror}."
        ) from exc
    return made


def run_web(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises BindingRefused."""
    import uvicorn

    from lingting.server.app import create_app
    from lingting.server.protocol import BoundedProtocol

    app = create_app(settings)
    service: Service = app.state.service
    check_binding(
        settings,
        has_administrator=is_loopback(settings.host) or service.access.has_administrator(),
    )
    listening = bound_socket(settings)
    # What is loaded stays: without this every full collection walks it, 40 ms amid a request.
    gc.collect()
    gc.freeze()
    try:
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
            ssl_certfile=_path(settings.tls_certificate),
            ssl_keyfile=_path(settings.tls_key),
        )
        config.load()
    except (ssl.SSLError, OSError) as exc:
        listening.close()
        raise BindingRefused("The certificate or its key cannot be used.") from exc
    server = uvicorn.Server(config)
    ended = threading.Event()
    preparing = threading.Thread(target=_prepare, args=(service, ended), daemon=True)
    with _stopped_by_signals(server, service):
        preparing.start()
        try:
            server.run(sockets=[listening])
        finally:
            ended.set()
            listening.close()


def _prepare(service: Service, ended: threading.Event) -> None:
    """The administrator and the key of this machine, as soon as the database answers."""
    from lingting.server.place import make_local_key

    while not ended.is_set():
        try:
            service.access.ensure_administrator()
            make_local_key(service.settings, service.access)
        except LingtingError as error:
            log.warning("the store does not answer", extra={"code": error.code})
        except OSError as exc:
            log.warning("no key for this machine", extra={"reason": exc.strerror})
        else:
            return
        ended.wait(_TRY_AGAIN_S)


@contextmanager
def _stopped_by_signals(server: object, service: Service) -> Iterator[None]:
    """The first signal ends listeners of events and waits for answers, the second one does not.

    uvicorn's own handlers kill the process when it has stopped, before anything is put away.
    """
    import uvicorn

    assert isinstance(server, uvicorn.Server)
    server.capture_signals = _nothing  # type: ignore[method-assign]
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        if server.should_exit:
            server.force_exit = True
        server.should_exit = True
        service.broker.end()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _path(given: os.PathLike[str] | None) -> str | None:
    return None if given is None else os.fspath(given)
