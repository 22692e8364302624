"""Who may ask: the caller behind a proxy, the pages that may, when a key is needed, and how often."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from assistant.errors import UsageError
from assistant.keys import MARK, Key, Keys
from assistant.limits import Limits
from assistant.settings import Settings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}|\*))?")
_PORTS = {"http": "80", "https": "443"}
_THIS_MACHINE = ("localhost", "127.0.0.1")
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip")

NEEDED = (
    "A key is needed here, sent as “Authorization: Bearer ak_…”. Whoever runs this server makes one with: "
    "assistant keys add NAME"
)
UNKNOWN = "This key is not known here, or was revoked. Whoever runs this server makes one with: assistant keys add NAME"
WAIT = {
    "key": "More questions than this key may ask; ask again in {} s.",
    "address": "More questions than one address may ask (ASSISTANT_RATE); ask again in {} s.",
    "all": "More questions than this server answers in a minute (ASSISTANT_RATE_TOTAL); ask again in {} s.",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further, and the headers that say so to programs."""

    status: int
    detail: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. `local`: a program on this machine, with no proxy in between."""

    address: str
    scheme: str
    local: bool
    vouched: bool  # a trusted proxy says so

    @property
    def bucket(self) -> str:
        """Whose limit counts: an address, or the network that a subscriber of IPv6 gets."""
        found = _address(self.address)
        return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else self.address


class Access:
    """The rules of a server, read once from its settings. Raises UsageError for those that make no sense."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.hosts = {host.lower() for host in _listed(settings.allowed_hosts)}
        self.keys = Keys(settings.keys.expanduser())
        self._origins = [_allowed(one) for one in _listed(settings.allowed_origins)]
        self._proxies = [_network(one) for one in _listed(settings.trusted_proxy)]
        self._require = settings.require_key
        if settings.public_url:
            self._origins.append(_allowed("/".join(settings.public_url.split("/")[:3])))
        # What stands before a server on loopback brings others than this machine's programs.
        self._exposed = not _is_loopback(settings.host) or bool(self._proxies or settings.public_url)
        self._rate = settings.rate
        # Whoever sits at this machine could ask without a server as well; a rate that is set is meant for all.
        self._free_here = not {"rate", "rate_total"} & settings.model_fields_set
        self._limits = Limits(settings.rate_total, clock)

    def caller(self, peer: str, scheme: str, headers: Mapping[str, str]) -> Caller:
        """Who sent a request that came from `peer`; what it says of itself counts only from a trusted proxy."""
        address = _address(peer)
        if not self._trusts(address):
            local = address is not None and address.is_loopback and not any(name in headers for name in FORWARDED)
            return Caller(str(address or peer), scheme, local, False)
        told = [part.strip() for part in headers.get("x-forwarded-for", "").split(",") if part.strip()]
        while told and self._trusts(address):
            if (before := _address(told.pop())) is None:
                break
            address = before
        proto = headers.get("x-forwarded-proto", "").split(",")[-1].strip().lower()
        # Never local: a proxy that passes on what it was sent could be told so by anybody.
        return Caller(str(address), proto if proto in _PORTS else scheme, False, True)

    def allows(self, origin: str, own: str) -> bool:
        """Whether a page of `origin` may ask; `own` is the server's origin as this request sees it."""
        if (parts := _parts(origin)) is None or parts[2] == "*":
            return False
        return parts == _parts(own) or any(parts[:2] == one[:2] and one[2] in ("*", parts[2]) for one in self._origins)

    def stranger(self, origin: str, own: str) -> Refusal:
        """What the page of an origin that is not allowed is told."""
        shown = "".join(filter(str.isprintable, origin[:200]))
        why = f"Pages of {shown} may not ask here. Whoever runs this server allows them with ASSISTANT_ALLOWED_ORIGINS"
        theirs, ours = _parts(origin), _parts(own)
        if theirs and ours and theirs[1] == ours[1] and theirs[0] != ours[0]:
            why += ", or names the proxy that this came through in ASSISTANT_TRUSTED_PROXY"
        return Refusal(403, f"{why}.")

    def needs_key(self, caller: Caller, page: bool) -> bool:
        """Whether this caller must show a key; `page` says that a page of an allowed origin asks."""
        if self._require == "auto":
            return self._exposed and not caller.local and not page
        return self._require == "always"

    def admit(self, caller: Caller, page: bool, shown: str, key: Key | None, cost: float = 1.0) -> Refusal | None:
        """None for a request that may go on, and counts it. `key` is whose key was `shown`; its rate replaces the address's."""
        refused = None
        if key is None and (shown or self.needs_key(caller, page)):
            refused = Refusal(401, UNKNOWN if shown else NEEDED, {"WWW-Authenticate": "Bearer"})
        if refused is None and key is None and caller.local and self._free_here:
            return None
        name, rate = (f"key {key.name}", key.rate) if key else (caller.bucket, self._rate)
        # Those who lack a key use up their own questions and nobody else's.
        seconds, own = self._limits.take(name, rate, cost, alone=refused is not None)
        if seconds:
            why = WAIT[("key" if key else "address") if own else "all"]
            return Refusal(429, why.format(seconds), {"Retry-After": str(seconds)})
        return refused

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._proxies)


def shown_key(authorization: str) -> str:
    """The key of an Authorization header; nothing where it holds something else, as programs send that need none."""
    found = _BEARER.fullmatch(authorization.strip())
    return found[1] if found and found[1].startswith(MARK) else ""


def read_origin(text: str) -> str:
    """An origin as browsers send it. Raises UsageError for what is none."""
    parts = _parts(text.strip().removesuffix("/"))
    if parts is None or parts[2] == "*":
        raise UsageError(f"{text!r} is no origin: scheme, host and port alone, as in https://docs.example")
    scheme, host, port = parts
    return f"{scheme}://{host}" + (f":{port}" if port != _PORTS.get(scheme, "") else "")


def _parts(origin: str) -> tuple[str, str, str] | None:
    """Scheme, host, port; the port that is meant where none stands."""
    found = _ORIGIN.fullmatch(origin.lower())
    return (found[1], found[2], found[3] or _PORTS.get(found[1], "")) if found else None


def _allowed(text: str) -> tuple[str, str, str]:
    parts = _parts(text)
    if parts is None or (parts[2] == "*" and parts[1] not in _THIS_MACHINE):
        raise UsageError(
            f"ASSISTANT_ALLOWED_ORIGINS: {text!r} is no origin. Write scheme, host and port alone, as in "
            "https://docs.example; http://localhost:* stands for every port of this machine."
        )
    return parts


def _network(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise UsageError(
            f"ASSISTANT_TRUSTED_PROXY: {text!r} is no address. Write addresses or networks, as in 10.0.0.0/8,::1"
        ) from error


def _address(text: str) -> Address | None:
    """An address, whatever port stands behind it; IPv4 where it is that in the clothes of IPv6."""
    if found := re.fullmatch(r"\[([0-9a-fA-F:.]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+", text):
        text = found[1] or found[2]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


def _listed(setting: str) -> list[str]:
    return [part.strip() for part in setting.split(",") if part.strip()]
