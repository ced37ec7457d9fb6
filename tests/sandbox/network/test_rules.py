"""Which names and addresses a list allows, however they are written."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import SandboxSettings
from sandbox.network.rules import AllowList, canonical_name, is_public, parse_rule

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200",
    "192.0.0.192", "168.63.129.16", "224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "::",
    "::1", "fe80::1", "fd00:ec2::254", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "::ffff:a00:1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::", "::127.0.0.1", "fec0::1", "2001:db8::1", "192.0.2.1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "151.101.0.223", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_the_internet_s_need_a_rule_of_their_own(address):
    assert not is_public(ip_address(address))
    assert not AllowList(["example.org:443", "*.example.com:443"]).may_connect(ip_address(address), 443)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet_may_stand_for_a_name(address):
    assert AllowList(["example.org:443"]).may_connect(ip_address(address), 443)


@pytest.mark.parametrize(
    ("rule", "address", "port", "may"),
    [
        ("10.0.0.7:8080", "10.0.0.7", 8080, True),
        ("10.0.0.7:8080", "10.0.0.7", 8081, False),
        ("10.0.0.7:8080", "10.0.0.8", 8080, False),
        ("10.0.0.7:8080", "::ffff:10.0.0.7", 8080, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:80", "127.0.0.1", 80, False),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1", 80, True),
    ],
)
def test_an_address_that_a_rule_names_is_allowed_in_all_its_forms_and_at_its_port(rule, address, port, may):
    assert AllowList([rule]).may_connect(ip_address(address), port) is may


@pytest.mark.parametrize(
    ("rule", "name", "allowed"),
    [
        ("example.org:443", "example.org", True),
        ("example.org:443", "Example.ORG.", True),
        ("Example.org.:443", "example.org", True),
        ("example.org:443", "files.example.org", False),
        ("example.org:443", "notexample.org", False),
        ("example.org:443", "example.org.evil.example", False),
        ("*.example.com:443", "a.example.com", True),
        ("*.example.com:443", "a.b.example.com", True),
        ("*.example.com:443", "example.com", False),
        ("*.example.com:443", "badexample.com", False),
        ("*.example.com:443", "example.com.evil.org", False),
        ("bücher.example:443", "xn--bcher-kva.example", True),
        ("xn--bcher-kva.example:443", "BÜCHER.example", True),
        ("example.com:443", "ｅｘａｍｐｌｅ．com", True),
        ("example.com:443", "exаmple.com", False),  # a Cyrillic letter
    ],
)
def test_a_name_is_one_name_however_it_is_written(rule, name, allowed):
    assert AllowList([rule]).allows(canonical_name(name), 443) is allowed
    assert not AllowList([rule]).allows(canonical_name(name), 80)


@pytest.mark.parametrize(
    "rule",
    ["", "example.org", "example.org:", "example.org:0", "example.org:65536", "example.org:https",
     "example.org:４４３", ":443", "*:443", "*.com:443", "*.*.com:443", "a*.example.com:443", "*.10.0.0.1:443",
     "http://example.org:443", "a b:443", "a..b:443", "user@example.org:443", "example.org/x:443",
     f"{'a' * 64}.org:443", f"{'a.' * 130}org:443", "::1:80:", "[::1%eth0]:80"],
)  # fmt: skip
def test_what_is_no_rule_is_refused_in_the_settings_too(rule):
    with pytest.raises(ValueError, match="write NAME:PORT|can't be allowed|would allow too much"):
        parse_rule(rule)
    with pytest.raises(ValueError, match="network"):
        SandboxSettings(network=[rule])


def test_without_rules_nothing_is_allowed():
    assert SandboxSettings().network == ()
    assert not AllowList([]).allows("example.org", 443)


@given(st.text(max_size=60))
def test_any_text_is_a_canonical_name_or_none(text):
    try:
        name = canonical_name(text)
    except ValueError:
        return
    assert name.isascii()
    assert canonical_name(name) == name
    assert not set(name) & set(" /@\r\n\0%#?[]")


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_judged_alike_in_its_ipv6_forms(number):
    plain = ip_address(number)
    for wrapped in (f"::ffff:{plain}", str(ip_address((0x64FF9B << 96) | number))):
        assert is_public(ip_address(wrapped)) == is_public(plain)
