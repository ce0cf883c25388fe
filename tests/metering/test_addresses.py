"""Where a Custom endpoint may lead. Tests lie about DNS instead of asking it."""

import ipaddress

import pytest

from metering.addresses import AddressRefused, Pinned, check, is_public

PUBLIC = "93.184.215.14"


def answering(*ips):
    return lambda host, port: list(ips)


def unknown(host, port):
    raise OSError("no such host")


MALFORMED = [
    "",
    "llm.example.com/v1",
    "//llm.example.com/v1",
    "ftp://llm.example.com/v1",
    "file:///etc/passwd",
    "gopher://llm.example.com:70/_x",
    "javascript:alert(1)",
    "unix:///var/run/docker.sock",
    "https://",
    "https:///v1",
    "https://:443/v1",
    "https:llm.example.com",
    "https://llm.example.com:0/v1",
    "https://llm.example.com:65536/v1",
    "https://llm.example.com:-1/v1",
    "https://llm.example.com:port/v1",
    "https://user@llm.example.com/v1",
    "https://user:password@llm.example.com/v1",
    "https://llm.example.com@169.254.169.254/v1",
    "https://llm.example.com%40169.254.169.254/v1",
    "https://@llm.example.com/v1",
    "https://llm.example.com/v1?to=other",
    "https://llm.example.com/v1?",
    "https://llm.example.com/v1#part",
    "https://llm.example.com#@169.254.169.254/",
    "https://llm.example.com\\@169.254.169.254/",
    "https://llm.example.com /v1",
    " https://llm.example.com/v1",
    "https://llm.example.com/v1\r\nX-Header: 1",
    "https://llm.exa\tmple.com/v1",
    "https://llm.example.com\x00.evil.example/v1",
    "https://llm..example.com/v1",
    "https://-llm.example.com/v1",
    "https://llm.example.com-/v1",
    "https://*.example.com/v1",
    "https://llm,example.com/v1",
    "https://lläm.example.com/v1",
    "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/v1",
    "https://①②⑦.⓪.⓪.①/v1",
    "https://llm。example。com/v1",
    "https://[::1/v1",
    "https://::1/v1",
    "https://[fe80::1%eth0]/v1",
    "https://[fe80::1%25eth0]/v1",
    "https://[not-an-address]/v1",
    "https://%31%32%37.0.0.1/v1",
    f"https://{'a' * 64}.example.com/v1",
    f"https://llm.example.com/{'a' * 500}",
]


@pytest.mark.parametrize("url", MALFORMED)
@pytest.mark.parametrize("allow_private", [False, True])
def test_a_malformed_address_is_refused_whoever_hosts(url, allow_private):
    with pytest.raises(AddressRefused) as refused:
        check(url, allow_private=allow_private, resolver=answering(PUBLIC))
    assert refused.value.message


ODD_NUMBERS = [
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.0.0.1./",
    "https://0/",
    "https://0x/",
    "https://256.1.1.1/",
    "https://1.1.1.1.1/",
    "https://llm.example.1/",
]


@pytest.mark.parametrize("url", ODD_NUMBERS)
@pytest.mark.parametrize("allow_private", [False, True])
def test_numbers_written_oddly_are_refused_even_if_they_would_resolve(url, allow_private):
    with pytest.raises(AddressRefused):
        check(url, allow_private=allow_private, resolver=answering(PUBLIC))


NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::2",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:93.184.215.14",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:c0a8:101::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
OWN = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "::1",
    "fc00::1",
    "fd12:3456:789a::1",
]
OPEN = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1"]
OPEN += ["11.0.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::808:808"]


@pytest.mark.parametrize("ip", NEVER)
@pytest.mark.parametrize("allow_private", [False, True])
def test_a_name_that_leads_nowhere_good_is_refused_whoever_hosts(ip, allow_private):
    with pytest.raises(AddressRefused):
        check("https://llm.example.com/v1", allow_private=allow_private, resolver=answering(ip))


@pytest.mark.parametrize("ip", NEVER + OWN)
def test_the_same_address_as_a_literal_is_refused(ip):
    host = f"[{ip}]" if ":" in ip else ip
    with pytest.raises(AddressRefused):
        check(f"https://{host}/v1", allow_private=False, resolver=unknown)
    assert not is_public(ipaddress.ip_address(ip))


@pytest.mark.parametrize("ip", OWN)
def test_ones_own_network_is_for_those_who_host_themselves(ip):
    with pytest.raises(AddressRefused):
        check("https://llm.example.com/v1", allow_private=False, resolver=answering(ip))
    assert check("http://ollama:11434/v1", allow_private=True, resolver=answering(ip)).ip == ip


@pytest.mark.parametrize("ip", OPEN)
def test_the_internet_is_open(ip):
    pinned = check("https://llm.example.com/v1", allow_private=False, resolver=answering(ip))
    assert pinned == Pinned(scheme="https", host="llm.example.com", port=443, ip=ip)


def test_one_bad_address_among_good_ones_spoils_the_name():
    with pytest.raises(AddressRefused):
        check("https://llm.example.com/v1", allow_private=False, resolver=answering(PUBLIC, "1.1.1.1", "10.0.0.1"))


def test_the_name_is_resolved_once_and_the_answer_kept():
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    pinned = check("https://llm.example.com/v1", allow_private=False, resolver=lambda host, port: next(answers))
    assert pinned.ip == PUBLIC


def test_plain_http_is_for_those_who_host_themselves():
    with pytest.raises(AddressRefused, match="https://"):
        check("http://llm.example.com/v1", allow_private=False, resolver=answering(PUBLIC))


@pytest.mark.parametrize("port", [22, 25, 53, 80, 445, 993, 1023])
def test_ports_of_other_services_are_refused(port):
    with pytest.raises(AddressRefused):
        check(f"https://llm.example.com:{port}/v1", allow_private=False, resolver=answering(PUBLIC))


def test_an_unusual_port_is_kept():
    pinned = check("https://LLM.Example.com:8443/v1", allow_private=False, resolver=answering(PUBLIC))
    assert (pinned.host, pinned.port) == ("llm.example.com", 8443)


def test_a_name_that_nobody_knows_is_refused_by_its_name():
    with pytest.raises(AddressRefused, match=r"llm\.example\.com"):
        check("https://llm.example.com/v1", allow_private=False, resolver=unknown)


@pytest.mark.parametrize("answer", ["fe80::1%eth0", "garbage", ""])
def test_an_answer_that_is_no_address_spoils_the_name(answer):
    with pytest.raises(AddressRefused):
        check("https://llm.example.com/v1", allow_private=True, resolver=answering(PUBLIC, answer))
