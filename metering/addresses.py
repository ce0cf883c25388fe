"""Which addresses a customer's own server may have (a Custom endpoint, a webhook), and which one to connect to.

A name is resolved once, here. Whoever connects uses the address that comes back, so that a DNS answer which
changes afterwards can't lead inside. Every address of the name must be fit, not only the one that is used.
Sources: IANA's special-purpose address registries (IPv4, IPv6), and the clouds' pages on their metadata services.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from django.utils.translation import gettext as _

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]

LONGEST: Final = 500
PORTS: Final = {"https": 443, "http": 80}
UNPRIVILEGED: Final = 1024  # below it live mail, files and databases of the old kind; 443 aside, none is a model

_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_ENDS_IN_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")


def _networks(*texts: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(text) for text in texts]


# Where clouds answer their own machines with credentials. Some sit in ranges that are otherwise usable.
METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"))
)
# A machine or a network of one's own: loopback, RFC 1918, carrier-grade NAT (which Tailscale uses), unique local.
OWN: Final = _networks(
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7"
)
# The rest of IPv4 that isn't somebody's place on the internet: this network, link-local, protocol assignments,
# documentation, 6to4 relays, benchmarks, multicast, reserved.
_NOT_PUBLIC_4: Final = [
    *(network for network in OWN if network.version == 4),  # noqa: PLR2004
    *_networks("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
    *_networks("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
]
# IPv6 in use on the internet is 2000::/3. Inside it, protocol assignments (Teredo among them), documentation and
# 6to4 are not; outside it are mapped and compatible IPv4, link-local, unique local, site-local and multicast.
_GLOBAL_6: Final = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = _networks("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
# NAT64 is how a machine with IPv6 alone reaches IPv4: as good as the IPv4 address inside.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class AddressRefused(Exception):
    """The address isn't one that we connect to. ``message`` tells its owner why, in their language."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """An address that passed: connect to ``ip``, but name ``host`` in the Host header and in TLS."""

    scheme: str
    host: str
    port: int
    ip: str


def is_public(ip: Ip) -> bool:
    """Tell whether ``ip`` is somebody's unicast place on the internet, metadata services excluded."""
    if ip in METADATA:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC_4)
    if ip in _NAT64:
        return is_public(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return ip in _GLOBAL_6 and not any(ip in network for network in _NOT_PUBLIC_6)


def is_own(ip: Ip) -> bool:
    """Tell whether ``ip`` is on this machine or in a private network, metadata services excluded."""
    return ip not in METADATA and any(ip in network for network in OWN)


def resolve(host: str, port: int) -> list[str]:
    """Ask the system for every address of ``host``.

    Raises:
        OSError: when there is none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_rest, sockaddr in found]


def check(url: str, *, allow_private: bool, resolver: Resolver = resolve) -> Pinned:
    """Return where to connect for ``url``. May block while the name is resolved.

    With ``allow_private`` (``ALLOW_PRIVATE_ENDPOINTS``), plain http, any port and addresses of one's own are fit
    as well; link-local, multicast, reserved and metadata addresses never are.

    Raises:
        AddressRefused: when the URL is malformed or any of its addresses isn't fit.
    """
    parts, port = _parsed(url)
    if not allow_private and parts.scheme != "https":
        raise AddressRefused(_("The address must begin with https://, so that what is sent there travels encrypted."))
    if not allow_private and port != PORTS["https"] and port < UNPRIVILEGED:
        raise AddressRefused(_("Use the usual port of https, or one from 1024 up."))
    host = _host(parts)
    ips = _addresses(host, port, resolver)
    if not all(is_public(ip) or (allow_private and is_own(ip)) for ip in ips):
        raise AddressRefused(
            _("This address leads into a private network, where we don't go. Use one that is reachable from outside.")
        )
    return Pinned(scheme=parts.scheme, host=host, port=port, ip=str(ips[0]))


def _parsed(url: str) -> tuple[SplitResult, int]:
    malformed = AddressRefused(_("This isn't an address we can use. Write it whole, beginning with https://."))
    # Parsers disagree on backslashes, spaces, control characters and anything beyond ASCII: none is let in.
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise malformed
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise malformed from None
    if parts.scheme not in PORTS or not parts.netloc or port == 0:
        raise malformed
    if "@" in parts.netloc:
        raise AddressRefused(_("Leave the name and password out of the address."))
    if "?" in url or "#" in url:
        raise AddressRefused(_("Leave out what follows ? or # in the address."))
    return parts, port or PORTS[parts.scheme]


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host and "%" not in host:
        return host
    # 2130706433, 0x7f.1 and 0177.0.0.1 are 127.0.0.1 to some and a name to others. Four plain numbers are clear.
    if _ENDS_IN_NUMBER.fullmatch(host):
        if _ip(host) is None:
            raise AddressRefused(_("Write the numbers of the address in the usual way, like 203.0.113.7."))
    elif not _NAME.fullmatch(host):
        raise AddressRefused(_("This isn't the name of a server. Check the spelling of the address."))
    return host


def _addresses(host: str, port: int, resolver: Resolver) -> list[Ip]:
    literal = _ip(host)
    if literal is not None:
        return [literal]
    try:
        found = [_ip(text) for text in resolver(host, port)]
    except (OSError, UnicodeError):
        found = []
    ips = [ip for ip in found if ip is not None]
    # An answer that isn't an address (a zone, say) makes the whole name unfit.
    if not ips or len(ips) != len(found):
        raise AddressRefused(_("We couldn't find %(host)s. Check the spelling of the address.") % {"host": host})
    return ips


def _ip(text: str) -> Ip | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
