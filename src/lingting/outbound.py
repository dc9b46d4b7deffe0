"""Asking addresses that somebody else named: webhooks, and recordings by address.

Whoever may name an address could make this service ask what only it can reach: itself, the network
it is in, a cloud's metadata. So everything goes through here:

- scheme, host, port and form of the address are checked; names and passwords in it are refused, and
  so are numbers that some resolvers take for IPv4 (``127.1``, ``0x7f000001``, ``2130706433``);
- a host is resolved once, **every** address it has is checked, and the connection goes to one of
  those: a name that means something else a moment later changes nothing;
- internal addresses only where the operator lists their network; link-local, multicast and
  metadata addresses never;
- redirects are not followed, or each is checked like the first and their number is bounded;
- time is bounded for all of it together, and sizes by the caller; no proxy of the environment is
  asked, no cookie is kept.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import SplitResult, urljoin, urlsplit

from lingting.errors import AddressFailed, AddressRefused, OptionInvalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

REDIRECTS = 5
_MAX_URL_CHARS = 2048
_RESOLVE_S = 5.0
_CONNECT_S = 10.0
_PORTS = {"http": 80, "https": 443}
_FIRST_FREE_PORT = 1024
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MOVED = frozenset({301, 302, 303, 307, 308})
_LENGTH = re.compile(r"[0-9]{1,18}")


def _networks(*given: str) -> tuple[Network, ...]:
    return tuple(map(ip_network, given))


NEVER = _networks(
    "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32",
    "::/128", "fe80::/10", "fec0::/10", "ff00::/8",
    # Metadata of clouds that is not link-local: Azure, Alibaba, Oracle, Amazon.
    "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::254/128",
)  # fmt: skip
"""Not even where the operator lists a network that holds them."""
_NOT_PUBLIC = _networks(
    # The registries of special addresses of IANA, written out: Python's own list changes with it.
    "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "240.0.0.0/4",
    "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)  # fmt: skip
_PUBLIC_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_TRANSLATED = tuple(map(IPv6Network, ("2002::/16", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")))


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be asked."""

    hosts: tuple[str, ...] | None = None
    """Names, ``*.example.org`` for all below one, each with ``:port`` where it is another than 80
    and 443; None: any host."""
    networks: tuple[Network, ...] = ()
    """Internal networks that may be reached all the same."""
    takes_plain_http: bool = False
    """Without TLS to public addresses too; to listed networks that is always possible."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address that was checked as far as that goes without a network."""

    url: str
    scheme: str
    host: str
    """A name or an IP address, without brackets."""
    port: int
    path: str
    """With its query."""


class Answer:
    """What came back, while the connection is open."""

    def __init__(self, response: http.client.HTTPResponse, watch: _Watch) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {
            name.lower(): value for name, value in response.getheaders()
        }
        self._response = response
        self._watch = watch

    @property
    def length_bytes(self) -> int | None:
        """As announced."""
        told = self.headers.get("content-length", "")
        return int(told) if _LENGTH.fullmatch(told) else None

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes, nothing at the end. Raises AddressFailed when it is cut off."""
        with self._watch.mapped():
            piece = self._response.read1(size)
            if not piece and self._response.length:
                raise AddressFailed("The address sent less than it announced.")
            return piece


# Checking --------------------------------------------------------------------------------------


def parse_networks(given: Iterable[str]) -> tuple[Network, ...]:
    """From settings. Raises OptionInvalid."""
    try:
        return tuple(ip_network(one.strip()) for one in given)
    except ValueError as exc:
        raise OptionInvalid(
            "LINGTING_OUTBOUND_NETWORKS holds what is no network.", "Write them as 10.1.0.0/16."
        ) from exc


def parse_target(url: str, rules: Rules) -> Target:
    """Raises AddressRefused for an address that is not to be asked, whoever it belongs to."""
    parts, port = _split(url)
    host = _host(parts.hostname or "")
    if not _has_host(rules.hosts, host, port):
        raise AddressRefused("This host is not one of those that may be asked.")
    if port < _FIRST_FREE_PORT and port not in _PORTS.values() and rules.hosts is None:
        raise AddressRefused(f"Port {port} may not be asked.", "Use 443, 80, or 1024 and more.")
    if parts.scheme == "http" and not rules.takes_plain_http and not rules.networks:
        raise AddressRefused("Only https:// addresses may be asked.")
    literal = _literal(host)
    if literal is not None and not _is_allowed(literal, parts.scheme, rules):
        raise _refused()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(url, parts.scheme, host, port, path)


def is_public(address: Address) -> bool:
    """Whether it belongs to the internet, and not to a network, a machine or a special use."""
    plain = _unwrapped(address)
    if any(_holds(network, plain) for network in (*NEVER, *_NOT_PUBLIC)):
        return False
    return plain.is_global and (plain.version == 4 or plain in _PUBLIC_V6)


def _is_allowed(address: Address, scheme: str, rules: Rules) -> bool:
    plain = _unwrapped(address)
    if any(_holds(network, one) for network in NEVER for one in (plain, *_meant(address))):
        return False
    if any(_holds(network, plain) for network in rules.networks):
        return True
    return is_public(address) and (scheme == "https" or rules.takes_plain_http)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _meant(address: Address) -> tuple[Address, ...]:
    """It and the IPv4 address that a gateway on the way may make of it: 6to4, SIIT, local NAT64."""
    if address.version == 4 or address.is_loopback:
        return (address,)
    if any(address in one for one in _TRANSLATED):
        inner = int(address) >> 80 if address in _TRANSLATED[0] else int(address)
        return address, IPv4Address(inner & 0xFFFF_FFFF)
    return (address,)


def _holds(network: Network, address: Address) -> bool:
    return network.version == address.version and address in network


def _split(url: str) -> tuple[SplitResult, int]:
    # The library would drop tabs and line ends, and others read a backslash as a slash.
    if len(url) > _MAX_URL_CHARS or not re.fullmatch(r"[!-\[\]-~]+", url):
        raise AddressRefused(
            f"An address has at most {_MAX_URL_CHARS} characters: ASCII, no spaces or backslashes.",
            "Write names of other scripts in their xn-- form.",
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise AddressRefused("This is no address.") from exc
    if parts.scheme not in _PORTS:
        raise AddressRefused("Only https:// and http:// addresses may be asked.")
    if "@" in parts.netloc:
        raise AddressRefused("The address holds a name or password.", "Leave them out.")
    if port == 0 or ("[" in parts.netloc and ":" not in (parts.hostname or "")):
        raise AddressRefused("This is no address.")
    return parts, port or _PORTS[parts.scheme]


def _host(given: str) -> str:
    """In small letters and without a last dot. Raises AddressRefused."""
    host = given.lower()
    if ":" in host:
        try:
            return str(IPv6Address(host)) if "%" not in host else _no_host()
        except ValueError as exc:
            raise AddressRefused("The host of the address is none.") from exc
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        return _no_host()
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except ValueError as exc:
            raise AddressRefused(
                "The host of the address is a number.", "Write IPv4 addresses as 192.0.2.1."
            ) from exc
    return host


def _no_host() -> str:
    raise AddressRefused("The host of the address is none.")


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _has_host(hosts: tuple[str, ...] | None, host: str, port: int) -> bool:
    if hosts is None:
        return True
    return any(_fits(one.strip().lower(), host, port) for one in hosts)


def _fits(entry: str, host: str, port: int) -> bool:
    if entry.startswith("["):
        name, _, wanted = entry[1:].partition("]")
        wanted = wanted.removeprefix(":")
    elif entry.count(":") > 1:
        name, wanted = entry, ""
    else:
        name, _, wanted = entry.partition(":")
    if str(port) != wanted if wanted else port not in _PORTS.values():
        return False
    if name.startswith("*."):
        return host.endswith(name[1:]) and _literal(host) is None
    return host == name


def _refused() -> AddressRefused:
    return AddressRefused("This address may not be asked.")


# Asking ----------------------------------------------------------------------------------------


@contextmanager
def asked(
    method: str,
    url: str,
    rules: Rules,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    timeout_s: float,
    redirects: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Answer]:
    """The answer of an address, whose body the block reads.

    ``timeout_s`` is for all of it: names, connections, redirects, the body. At most ``redirects``
    are followed, each checked like the first one and never from https to http; with 0 such an
    answer is given as it is. Raises AddressRefused, AddressFailed.
    """
    with _Watch(timeout_s) as watch:
        target = parse_target(url, rules)
        for left in range(redirects, -1, -1):
            with contextlib.ExitStack() as stack:
                connection = _Connection(target, rules, watch, tls)
                stack.callback(connection.close)
                with watch.mapped():
                    connection.request(method, target.path, body=body, headers=dict(headers))
                    # Closed by itself: one that ends its connection owns the socket.
                    response = stack.enter_context(connection.getresponse())
                answer = Answer(response, watch)
                where = answer.headers.get("location")
                if redirects == 0 or answer.status not in _MOVED or where is None:
                    yield answer
                    return
            if left == 0:
                break
            target = _next(target, where, rules)
        raise AddressFailed(f"The address leads on more than {redirects} times.")


def _next(target: Target, where: str, rules: Rules) -> Target:
    try:
        found = parse_target(urljoin(target.url, where), rules)
    except ValueError as exc:
        raise AddressFailed("The address leads on to none.") from exc
    if (target.scheme, found.scheme) == ("https", "http"):
        raise AddressRefused("The address leads from https to http.")
    return found


class _Connection(http.client.HTTPConnection):
    """To one of the addresses that were checked, and to no other."""

    def __init__(
        self, target: Target, rules: Rules, watch: _Watch, tls: ssl.SSLContext | None
    ) -> None:
        shown = f"[{target.host}]" if ":" in target.host else target.host
        super().__init__(shown, target.port)
        self.default_port = _PORTS[target.scheme]
        self._target = target
        self._rules = rules
        self._watch = watch
        self._tls = tls

    def connect(self) -> None:
        addresses = resolved(self._target, self._rules, self._watch.left_s())
        self.sock = self._reached(addresses)
        self._watch.guard(self.sock)
        if self._target.scheme == "https":
            tls = self._tls or ssl.create_default_context()
            self.sock = tls.wrap_socket(self.sock, server_hostname=self._target.host)

    def _reached(self, addresses: list[Address]) -> socket.socket:
        reason: OSError = OSError("no address")
        for one in addresses:
            try:
                wait_s = min(_CONNECT_S, self._watch.left_s())
                made = socket.create_connection((str(one), self._target.port), timeout=wait_s)
            except OSError as exc:
                reason = exc
            else:
                made.settimeout(max(self._watch.left_s(), 0.1))
                return made
        raise reason


def resolved(target: Target, rules: Rules, timeout_s: float = _RESOLVE_S) -> list[Address]:
    """Every address of the host, when all of them may be asked. Raises AddressRefused otherwise."""
    found = _looked_up(target, min(timeout_s, _RESOLVE_S))
    if not all(_is_allowed(one, target.scheme, rules) for one in found):
        raise _refused()
    return found


def _looked_up(target: Target, timeout_s: float) -> list[Address]:
    """The system's resolver cannot be stopped; it is left behind when it takes too long."""
    answers: queue.SimpleQueue[list[Address] | Exception] = queue.SimpleQueue()

    def look() -> None:
        try:
            rows = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            # The name of an interface, as in fe80::1%eth0, is no part of the address.
            answers.put([ip_address(str(row[4][0]).partition("%")[0]) for row in rows])
        except Exception as exc:
            answers.put(exc)

    threading.Thread(target=look, name="resolve", daemon=True).start()
    try:
        found = answers.get(timeout=max(timeout_s, 0.1))
    except queue.Empty:
        found = TimeoutError()
    if isinstance(found, Exception) or not found:
        raise AddressFailed("The host of the address cannot be found.")
    return list(dict.fromkeys(found))


class _Watch:
    """Ends what takes too long: each read has a time-out, a thread knows of all of them."""

    def __init__(self, timeout_s: float) -> None:
        self._until_s = time.monotonic() + timeout_s
        self._timer = threading.Timer(timeout_s, self._end)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_over = False

    def __enter__(self) -> _Watch:
        self._timer.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._timer.cancel()
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def left_s(self) -> float:
        """Raises AddressFailed when no time is left."""
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise AddressFailed("The address did not answer in time.")
        return left_s

    def guard(self, made: socket.socket) -> None:
        # A copy of its own: TLS takes the socket over, and a closed number may be somebody else's.
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = None if self._is_over else made.dup()

    def _end(self) -> None:
        with self._lock:
            self._is_over = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def mapped(self) -> Iterator[None]:
        """What the network says, as our error; an address stays out of its sentence."""
        try:
            yield
        except ssl.SSLCertVerificationError as exc:
            raise AddressFailed("The certificate of the address cannot be trusted.") from exc
        except (OSError, http.client.HTTPException) as exc:
            if self._is_over or isinstance(exc, TimeoutError):
                raise AddressFailed("The address did not answer in time.") from exc
            raise AddressFailed("The address cannot be reached, or breaks off.") from exc
        if self._is_over:
            raise AddressFailed("The address did not answer in time.")
