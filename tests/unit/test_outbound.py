"""What an address that somebody named must not lead to: the table of forms."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import pytest

from lingting.errors import AddressFailed, AddressRefused, LingtingError, OptionInvalid
from lingting.outbound import Rules, is_public, parse_networks, parse_target, resolved

WEBHOOKS = Rules()
DOWNLOADS = Rules(("media.example.org", "*.example.com", "10.1.2.3", "[::1]:8443"), (), True)


@pytest.mark.parametrize(
    "url",
    [
        # schemes
        "file:///etc/passwd", "gopher://example.org/", "ftp://example.org/a", "data:text/plain,a",
        "javascript:alert(1)", "//example.org/", "example.org", "", "unix:/run/a.sock", "dict://a:11",
        "HTTP+UNIX://a", "jar:http://example.org!/", "netdoc:///etc/passwd",
        # loopback, in every way it is written
        "https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://2130706433/",
        "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://017700000001/",
        "https://127.0.0.1./", "https://127.000.000.001/", "https://0/", "https://0.0.0.0/",
        "https://127.255.255.254/", "https://0x7f.1/", "https://00000177.1/",
        # private, shared, link-local, metadata
        "https://10.0.0.1/", "https://172.16.0.1/", "https://172.31.255.255/",
        "https://192.168.1.1/", "https://100.64.0.1/", "https://100.100.100.200/latest",
        "https://169.254.169.254/latest/meta-data/", "https://2852039166/", "https://0xa9fea9fe/",
        "https://0251.0376.0251.0376/", "https://169.254.43518/", "https://168.63.129.16/",
        "https://192.0.0.192/", "https://192.0.0.8/", "https://198.18.0.1/",
        # reserved, multicast, documentation
        "https://224.0.0.1/", "https://239.1.1.1/", "https://240.0.0.1/", "https://255.255.255.255/",
        "https://192.0.2.1/", "https://198.51.100.7/", "https://203.0.113.9/", "https://192.88.99.1/",
        # IPv6
        "https://[::1]/", "https://[::]/", "https://[0:0:0:0:0:0:0:1]/", "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/", "https://[::ffff:0:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::169.254.169.254]/",
        "https://[64:ff9b:1::1]/", "https://[2002:7f00:1::]/", "https://[2002:a9fe:a9fe::1]/",
        "https://[2001::1]/", "https://[2001:db8::1]/", "https://[fe80::1]/", "https://[fe80::1%25lo]/",
        "https://[fe80::1%lo]/", "https://[fec0::1]/", "https://[fc00::1]/", "https://[fd12::1]/",
        "https://[fd00:ec2::254]/", "https://[ff02::1]/", "https://[100::1]/", "https://[3fff::1]/",
        "https://[5f00::1]/", "https://[::ffff:10.0.0.1]/", "https://[1::2::3]/", "https://[v1.a]/",
        # names and passwords, and addresses that two readers read in two ways
        "https://user@example.org/", "https://user:pw@example.org/", "https://@example.org/",
        "https://example.org@127.0.0.1/", "https://127.0.0.1@example.org/",
        "https://example.org\\@127.0.0.1/", "https:\\\\example.org/", "https://example.org\t/",
        "https://exam\nple.org/", " https://example.org/", "https://example.org /",
        "https://example.org/\r\nHost: 127.0.0.1", "https://１２７.0.0.1/", "https://①②⑦.0.0.1/",
        "https://例子.example/", "https://127.0.0.1%2f@example.org/", "https://%31%32%37.0.0.1/",
        "https://loc%61lhost/", "https:///path", "https://?a", "https://.../", "https://a..b/",
        "https://-a.org/", "https://a_.-/", "https://[/", "https://]/",
        # plain http to the internet, ports of other services
        "http://example.org/", "https://example.org:22/", "https://example.org:25/",
        "https://example.org:0/", "https://example.org:65536/", "https://example.org:x/",
        "https://example.org/" + "a" * 2048,
    ],
)  # fmt: skip
def test_addresses_that_are_never_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most are refused as written; the rest when all addresses of the host are known."""
    monkeypatch.setattr(socket, "getaddrinfo", answers("93.184.216.34"))
    with pytest.raises(AddressRefused) as caught:
        resolved(parse_target(url, WEBHOOKS), WEBHOOKS)
    assert "example" not in str(caught.value)
    assert "127" not in caught.value.sentence


def answers(*addresses: str) -> Any:
    def look(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    return look


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/hook?a=1", "https://EXAMPLE.org:8443/", "https://example.org./",
        "https://93.184.216.34/", "https://[2606:2800:220:1::1]/", "https://xn--fsqu00a.example/",
        "https://a_b.example.org/", "https://1.example.org/", "https://[64:ff9b::93.184.216.34]/",
    ],
)  # fmt: skip
def test_ordinary_addresses_are_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("93.184.216.34", "2606:2800:220:1::1"))
    target = parse_target(url, WEBHOOKS)
    assert target.host == target.host.lower()
    assert len(resolved(target, WEBHOOKS)) == 2


@pytest.mark.parametrize(
    "found",
    [
        ("127.0.0.1",), ("93.184.216.34", "10.0.0.1"), ("10.0.0.1", "93.184.216.34"),
        ("93.184.216.34", "169.254.169.254"), ("::1",), ("fe80::1%eth0",), ("::ffff:192.168.0.1",),
        ("93.184.216.34", "fd00:ec2::254"), ("0.0.0.0",),  # noqa: S104
        ("64:ff9b::a00:1",),
    ],
)  # fmt: skip
def test_a_name_with_any_internal_address_is_refused(
    found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers(*found))
    for rules in (WEBHOOKS, Rules(("example.org",), (), True)):
        with pytest.raises(AddressRefused):
            resolved(parse_target("https://example.org/", rules), rules)


def test_listed_networks_are_reached_and_metadata_never(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Rules(networks=parse_networks(["10.1.0.0/16", "169.254.0.0/16", "0.0.0.0/0", "::/0"]))
    for url in ("http://10.1.2.3:9000/", "https://[::ffff:10.1.2.3]/", "http://127.0.0.1:8080/"):
        assert resolved_of(url, rules, monkeypatch)
    for url in (
        "http://169.254.169.254/", "http://100.100.100.200/", "http://[fd00:ec2::254]/",
        "http://[::ffff:169.254.169.254]/", "http://0.0.0.0/", "http://[fe80::1]/",
        "http://[64:ff9b::169.254.169.254]/",
    ):  # fmt: skip
        with pytest.raises(AddressRefused):
            parse_target(url, rules)
    # What is not listed stays out, and plain http is for listed networks alone.
    narrow = Rules(networks=parse_networks(["10.1.0.0/16"]))
    for address in ("10.2.0.1", "127.0.0.1"):
        with pytest.raises(AddressRefused):
            parse_target(f"https://{address}/", narrow)
    monkeypatch.setattr(socket, "getaddrinfo", answers("10.1.0.9", "93.184.216.34"))
    with pytest.raises(AddressRefused):
        resolved(parse_target("http://example.org/", narrow), narrow)
    assert resolved(parse_target("https://example.org/", narrow), narrow)


def resolved_of(url: str, rules: Rules, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    target = parse_target(url, rules)
    monkeypatch.setattr(socket, "getaddrinfo", answers(target.host))
    return resolved(target, rules)


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("https://media.example.org/a.mp3", True),
        ("http://media.example.org/a.mp3", True),
        ("https://MEDIA.example.org./a.mp3", True),
        ("https://media.example.org:8443/a.mp3", False),
        ("https://a.b.example.com/", True),
        ("https://example.com/", False),
        ("https://notexample.com/", False),
        ("https://media.example.org.evil.net/", False),
        ("https://evil.net/media.example.org", False),
        ("https://xmedia.example.org/", False),
        ("https://10.1.2.3/", False),  # listed as a host, in no listed network
        ("https://[::1]:8443/", False),
    ],
)
def test_hosts_of_downloads(url: str, is_allowed: bool) -> None:
    try:
        parse_target(url, DOWNLOADS)
    except AddressRefused:
        assert not is_allowed
    else:
        assert is_allowed


def test_a_host_with_its_port_and_its_network() -> None:
    rules = Rules(("10.1.2.3:8080", "[fd12::1]:8443"), parse_networks(["10.1.0.0/16", "fd12::/16"]))
    assert parse_target("http://10.1.2.3:8080/", rules).port == 8080
    assert parse_target("https://[fd12::1]:8443/", rules).host == "fd12::1"
    with pytest.raises(AddressRefused):
        parse_target("http://10.1.2.3/", rules)


def test_only_the_internet_is_public() -> None:
    for one in ("8.8.8.8", "1.1.1.1", "2606:4700::1111", "192.0.1.1"):
        assert is_public(ip_address(one)), one
    for one in ("::", "4000::1", "100::", "198.19.255.255", "192.0.0.1", "64:ff9b:1::"):
        assert not is_public(ip_address(one)), one


def test_a_resolver_that_fails_or_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "private.example.org unknown")

    def hang(*_: Any, **__: Any) -> Any:
        import time

        time.sleep(3)
        return []

    for resolver in (fail, hang):
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        with pytest.raises(AddressFailed) as caught:
            resolved(parse_target("https://example.org/", WEBHOOKS), WEBHOOKS, 0.2)
        assert "example" not in caught.value.sentence


def test_networks_of_settings() -> None:
    assert len(parse_networks(["10.0.0.0/8", "fd12::/16", "127.0.0.1"])) == 3
    for wrong in ("10.0.0.1/8", "lan", "10.0.0.0/33"):
        with pytest.raises(OptionInvalid):
            parse_networks([wrong])
    assert issubclass(AddressRefused, LingtingError)
