"""Addresses of IPv6 that a gateway turns into IPv4: metadata stays out of reach in all of them."""

from ipaddress import ip_address

import pytest

from lingting.errors import AddressRefused
from lingting.outbound import Rules, parse_networks, parse_target

EVERYTHING = Rules(networks=parse_networks(["::/0", "0.0.0.0/0"]))


@pytest.mark.parametrize(
    "host",
    ["2002:a9fe:a9fe::1", "64:ff9b:1::a9fe:a9fe", "::ffff:0:a9fe:a9fe", "::a9fe:a9fe",
     "64:ff9b::a9fe:a9fe", "::ffff:a9fe:a9fe", "169.254.169.254", "2002:a83f:8110::"],
)  # fmt: skip
def test_metadata_is_never_asked_however_it_is_written(host: str) -> None:
    """Not even by an operator's leave for every network there is."""
    shown = f"[{host}]" if ip_address(host).version == 6 else host
    with pytest.raises(AddressRefused):
        parse_target(f"https://{shown}/latest/meta-data", EVERYTHING)


@pytest.mark.parametrize("host", ["[2002:0a00:0001::1]", "[::1]", "10.0.0.1", "[fd12::1]"])
def test_what_the_operator_lists_is_asked(host: str) -> None:
    assert parse_target(f"https://{host}/", EVERYTHING).port == 443
