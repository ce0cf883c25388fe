"""The client of providers: which connection a request goes over, and to whom."""

import asyncio
import contextlib
import socket
import ssl
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from llm import client, origins, wire
from llm.client import Upstream, UpstreamCut, UpstreamStalled
from llm.errors import UpstreamTimeout, UpstreamUnavailable
from llm.providers.base import Outgoing
from metering import addresses
from tests.llm.raw_server import answering, raw_server, whole

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
async def upstream():
    upstream = Upstream(allow_private=True)
    yield upstream
    await upstream.close()


def to(url: str, *, key: str = "sk-alex", body: bytes = b"{}") -> Outgoing:
    return Outgoing(url=f"{url}/chat/completions", headers={"authorization": f"Bearer {key}"}, body=body)


async def ask(upstream: Upstream, url: str, *, provider: str = "openai", **more) -> bytes:
    answer = await upstream.send(to(url, **more), provider=provider)
    try:
        return await answer.body()
    finally:
        answer.close()


# --- One connection after another -----------------------------------------------------------------


async def test_two_requests_share_a_connection(upstream):
    async with raw_server(answering(whole(b"one"), whole(b"two"))) as server:
        assert [await ask(upstream, server.url), await ask(upstream, server.url)] == [b"one", b"two"]
        assert server.conversations == 1


async def test_requests_at_once_do_not(upstream):
    async with raw_server(answering(whole(b"one"), whole(b"two"))) as server:
        assert await asyncio.gather(*[ask(upstream, server.url) for _ in range(3)]) == [b"one"] * 3
        assert server.conversations == 3


async def test_the_request_goes_out_as_it_must(upstream):
    asked = []

    async def script(conversation):
        asked.append(await conversation.request())
        await conversation.say(whole(b""))

    async with raw_server(script) as server:
        await ask(upstream, server.url, body=b'{"a": 1}')
    assert asked == [
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\naccept-encoding: identity\r\n"
        b'authorization: Bearer sk-alex\r\ncontent-length: 8\r\n\r\n{"a": 1}' % server.port
    ]


async def test_an_idle_connection_that_the_provider_closed_is_replaced_unnoticed(upstream):
    closing = asyncio.Event()

    async def script(conversation):
        await conversation.request()
        await conversation.say(whole(b"answer %d" % conversation.number))
        await closing.wait()

    async with raw_server(script) as server:
        assert await ask(upstream, server.url) == b"answer 1"
        closing.set()
        await server.settled()
        assert await ask(upstream, server.url) == b"answer 2"


async def test_a_provider_that_hangs_up_on_a_kept_connection_is_asked_once_more_and_no_more(upstream):
    asked = []

    async def script(conversation):
        while request := await conversation.request():
            asked.append(request)
            if len(asked) > 2:
                return  # hangs up without an answer
            await conversation.say(whole(b"ok"))

    async with raw_server(script) as server:
        # Two connections are kept, so that a second try over the other one would be possible, and wrong.
        await asyncio.gather(ask(upstream, server.url), ask(upstream, server.url))
        assert (len(asked), server.conversations) == (2, 2)
        with pytest.raises(UpstreamUnavailable):
            await ask(upstream, server.url)
        assert (len(asked), server.conversations) == (4, 3)


async def test_a_provider_that_hangs_up_on_a_new_connection_is_asked_once(upstream):
    async def script(conversation):
        assert await conversation.request()

    async with raw_server(script) as server:
        with pytest.raises(UpstreamUnavailable):
            await ask(upstream, server.url)
        assert server.conversations == 1


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-"])
async def test_once_a_byte_of_an_answer_has_come_nothing_is_asked_again(upstream, begun):
    async def script(conversation):
        await conversation.request()
        await conversation.say(whole(b"ok"))
        await conversation.request()
        await conversation.say(begun)

    async with raw_server(script) as server:
        assert await ask(upstream, server.url) == b"ok"
        with pytest.raises(UpstreamUnavailable):
            await ask(upstream, server.url)
        assert server.conversations == 1


async def test_an_answer_to_nothing_is_never_taken_for_the_next_ones(upstream):
    answered = asyncio.Event()

    async def script(conversation):
        await conversation.request()
        await conversation.say(whole(b"Alex's"))
        await answered.wait()
        await conversation.say(whole(b"poison"))
        await conversation.left()

    async with raw_server(script) as server:
        assert await ask(upstream, server.url) == b"Alex's"
        answered.set()
        await server.settled()
        assert await ask(upstream, server.url) == b"Alex's"
        assert server.conversations == 2


async def test_an_answer_longer_than_it_says_is_cut_where_it_said(upstream):
    async with raw_server(answering(whole(b"ok") + b"and more")) as server:
        assert [await ask(upstream, server.url), await ask(upstream, server.url)] == [b"ok", b"ok"]
        assert server.conversations == 2


async def test_an_answer_closed_twice_leaves_its_connection_to_one_request(upstream):
    async with raw_server(answering(whole(b"one"), whole(b"two"))) as server:
        answer = await upstream.send(to(server.url), provider="openai")
        await answer.body()
        answer.close()
        answer.close()
        await asyncio.gather(ask(upstream, server.url), ask(upstream, server.url))
        assert server.conversations == 2


async def test_idle_connections_are_closed_in_time_and_none_beyond_a_number_is_kept(upstream, monkeypatch):
    monkeypatch.setattr(client, "IDLE_AT_MOST", 0.05)
    monkeypatch.setattr(client, "IDLE_CONNECTIONS", 2)
    async with raw_server(answering(whole(b"ok"), whole(b"ok"))) as server:
        await asyncio.gather(*[ask(upstream, server.url) for _ in range(4)])
        await server.settled()  # each conversation ends when we leave it
        assert server.conversations == 4


async def test_closing_ends_what_is_kept_and_what_comes_back_later():
    upstream = Upstream(allow_private=True)
    async with raw_server(answering(whole(b"ok"), whole(b"ok"))) as server:
        answer = await upstream.send(to(server.url), provider="openai")
        await ask(upstream, server.url)
        await upstream.close()
        assert await answer.body() == b"ok"
        answer.close()
        await server.settled()


# --- Going wrong ----------------------------------------------------------------------------------


async def test_garbage_is_no_answer(upstream):
    async with raw_server(answering(b"220 mail.example ESMTP\r\n")) as server:
        with pytest.raises(UpstreamUnavailable):
            await ask(upstream, server.url)
        await server.settled()


async def test_a_body_that_ends_early_is_a_cut(upstream):
    async def script(conversation):
        await conversation.request()
        await conversation.say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")

    async with raw_server(script) as server:
        with pytest.raises(UpstreamCut):
            await ask(upstream, server.url)


async def test_silence_before_the_answer_is_a_timeout_and_in_it_a_stall(upstream, monkeypatch):
    monkeypatch.setattr(client, "SILENT_AT_MOST", 0.02)
    async with raw_server(answering(b"")) as server:
        with pytest.raises(UpstreamTimeout):
            await ask(upstream, server.url)
        await server.settled()
    async with raw_server(answering(STREAM + b"2\r\nok\r\n")) as server:
        with pytest.raises(UpstreamStalled):
            await ask(upstream, server.url)
        await server.settled()


async def test_who_cannot_be_connected_to_in_time_is_a_timeout(upstream, monkeypatch):
    monkeypatch.setattr(client, "CONNECT_WITHIN", 0.02)

    async def never(*_arguments, **_more):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never, raising=False)
    with pytest.raises(UpstreamTimeout):
        await ask(upstream, "http://127.0.0.1:9/v1")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", STREAM, STREAM + b"2\r\nok\r\n"])
async def test_a_cancelled_request_ends_its_connection_at_once(upstream, said):
    heard, left = asyncio.Event(), asyncio.Event()

    async def script(conversation):
        await conversation.request()
        await conversation.say(said)
        heard.set()
        await conversation.left()
        left.set()

    async with raw_server(script) as server:
        asking = asyncio.create_task(ask(upstream, server.url))
        await heard.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await left.wait()
        assert server.conversations == 1


async def test_cancelled_while_connecting_leaves_nothing_behind(upstream):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        asking = asyncio.create_task(ask(upstream, f"http://127.0.0.1:{listening.getsockname()[1]}/v1"))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await upstream.close()
        connected, _address = await asyncio.to_thread(listening.accept)
        with connected:
            connected.settimeout(10)
            assert await asyncio.to_thread(connected.recv, 10) == b""


async def test_a_slow_reader_makes_the_provider_wait(upstream, monkeypatch):
    piece, pieces = b"a" * 64 * 1024, 2000  # 125 MiB
    sent, buffered = 0, []
    took = wire.Connection.on_body

    def watched(connection, data):
        took(connection, data)
        buffered.append(connection._buffered)

    monkeypatch.setattr(wire.Connection, "on_body", watched)

    async def script(conversation):
        nonlocal sent
        await conversation.request()
        await conversation.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(piece) * pieces))
        for _ in range(pieces):
            await conversation.say(piece)
            sent += 1

    async with raw_server(script) as server:
        answer = await upstream.send(to(server.url), provider="openai")
        seen = -1
        while sent != seen:  # until nothing more gets through
            seen = sent
            await asyncio.sleep(0.05)
        assert 0 < sent < pieces
        size = 0
        while part := await answer.read():
            size += len(part)
        answer.close()
        assert size == len(piece) * pieces
    assert max(buffered) <= wire.BUFFERED_AT_MOST + 256 * 1024  # one read


# --- Where it leads -------------------------------------------------------------------------------


class Authority:
    """Makes certificates that are trusted by nobody but who is given ``trust``."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of the tests")])
        now = datetime.now(UTC)
        certificate = self._certificate(self._name, self._key, now - timedelta(days=9), now + timedelta(days=9))
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self._own = (
            certificate.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def trust(self, context: ssl.SSLContext) -> None:
        context.load_verify_locations(cadata=self._own.public_bytes(serialization.Encoding.PEM).decode())

    def server(self, directory, *, name: str, days: int = 9) -> ssl.SSLContext:
        """Return what a server called ``name`` needs; negative ``days``: its certificate ended so long ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._certificate(subject, key, now - timedelta(days=20), now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(authority, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = directory / f"{name}.pem"
        file.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(self, subject, key, start, end):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)


@pytest.fixture
def authority(upstream) -> Authority:
    authority = Authority()
    authority.trust(upstream._tls)
    return authority


@pytest.fixture
def names(monkeypatch):
    """What each name resolves to, in turn; the last answer stays."""
    answers: dict[str, list[str]] = {}
    asked: list[str] = []

    def resolver(host: str, _port: int) -> list[str]:
        asked.append(host)
        return [answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]]

    monkeypatch.setattr(addresses, "check", partial(addresses.check, resolver=resolver))
    monkeypatch.setattr(origins, "GOOD_FOR", 60.0)
    answers["asked"] = asked
    return answers


async def test_the_right_certificate_is_accepted_and_its_name_asked_for(upstream, authority, names, tmp_path):
    names["llm.alex.example"] = ["127.0.0.1"]
    asked = []

    async def script(conversation):
        asked.append(await conversation.request())
        await conversation.say(whole(b"ok"))

    async with raw_server(script, tls=authority.server(tmp_path, name="llm.alex.example")) as server:
        assert await ask(upstream, f"https://llm.alex.example:{server.port}/v1", provider="custom") == b"ok"
        assert b"\r\nhost: llm.alex.example:%d\r\n" % server.port in asked[0]


async def test_a_wrong_certificate_is_refused_before_the_key_is_shown(upstream, authority, names, tmp_path):
    names["llm.alex.example"] = ["127.0.0.1"]
    wrong = {
        "another's name": authority.server(tmp_path, name="llm.maya.example"),
        "expired": authority.server(tmp_path, name="llm.alex.example", days=-1),
        "signed by nobody we trust": Authority().server(tmp_path, name="llm.alex.example"),
    }
    asked = []

    async def script(conversation):
        asked.append(await conversation.request())

    for tls in wrong.values():
        async with raw_server(script, tls=tls) as server:
            with pytest.raises(UpstreamUnavailable, match="certificate"):
                await ask(upstream, f"https://llm.alex.example:{server.port}/v1", provider="custom")
    assert not any(asked)


async def test_a_name_that_changes_leads_where_it_was_checked_to_lead(upstream, names):
    names["llm.alex.example"] = ["127.0.0.1", "169.254.169.254"]

    async def script(conversation):
        await conversation.request()
        await conversation.say(whole(b"ok", head=b"connection: close\r\n"))

    async with raw_server(script) as server:
        url = f"http://llm.alex.example:{server.port}/v1"
        for _ in range(3):
            assert await ask(upstream, url, provider="custom") == b"ok"
        assert (server.conversations, names["asked"]) == (3, ["llm.alex.example"])


async def test_once_looked_up_anew_a_name_that_leads_elsewhere_is_refused(upstream, names, monkeypatch):
    monkeypatch.setattr(origins, "GOOD_FOR", -1.0)
    names["llm.alex.example"] = ["127.0.0.1", "169.254.169.254"]
    async with raw_server(answering(whole(b"ok"), whole(b"ok"))) as server:
        url = f"http://llm.alex.example:{server.port}/v1"
        assert await ask(upstream, url, provider="custom") == b"ok"
        with pytest.raises(UpstreamUnavailable, match="private network"):
            await ask(upstream, url, provider="custom")


async def test_private_addresses_are_refused_where_they_are_not_allowed(names):
    upstream = Upstream(allow_private=False)
    names["llm.alex.example"] = ["127.0.0.1"]
    with pytest.raises(UpstreamUnavailable, match="private network"):
        await ask(upstream, "https://llm.alex.example:8443/v1", provider="custom")
    await upstream.close()


async def test_many_who_ask_for_a_name_at_once_look_it_up_once(upstream, names):
    names["llm.alex.example"] = ["127.0.0.1"]
    async with raw_server(answering(whole(b"ok"))) as server:
        url = f"http://llm.alex.example:{server.port}/v1"
        await asyncio.gather(*[ask(upstream, url, provider="custom") for _ in range(20)])
        assert names["asked"] == ["llm.alex.example"]


async def test_a_name_that_takes_too_long_keeps_nobody_waiting_for_ever(upstream, monkeypatch):
    monkeypatch.setattr(origins, "LOOK_UP_WITHIN", 0.02)
    looked_up = asyncio.Event()
    loop = asyncio.get_running_loop()

    def check(*_arguments, **_more):
        asyncio.run_coroutine_threadsafe(looked_up.wait(), loop).result()

    monkeypatch.setattr(addresses, "check", check)
    with pytest.raises(UpstreamTimeout, match="looked up"):
        await ask(upstream, "http://llm.alex.example/v1", provider="custom")
    looked_up.set()


async def test_a_redirect_comes_back_as_it_is_and_the_key_goes_nowhere(upstream):
    async with raw_server(answering(whole(b"gotcha"))) as elsewhere:
        moved = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: %b\r\ncontent-length: 5\r\n\r\nmoved"
        async with raw_server(answering(moved % elsewhere.url.encode())) as server:
            answer = await upstream.send(to(server.url), provider="openai")
            assert (answer.status, await answer.body()) == (307, b"moved")
            answer.close()
        assert elsewhere.conversations == 0


async def test_connections_are_shared_by_nobody_but_requests_to_the_same_place(upstream, names):
    names["llm.alex.example"] = names["llm.maya.example"] = ["127.0.0.1"]
    asked = []

    async def script(conversation):
        while request := await conversation.request():
            asked.append((conversation.number, request.partition(b"host: ")[2][:8]))
            await conversation.say(whole(b"ok"))

    async with raw_server(script) as server:
        for name in ("alex", "maya", "alex", "maya"):
            url = f"http://llm.{name}.example:{server.port}/v1"
            await ask(upstream, url, provider="custom")
    assert asked == [(1, b"llm.alex"), (2, b"llm.maya"), (1, b"llm.alex"), (2, b"llm.maya")]


async def test_a_scheme_in_capitals_is_encrypted_all_the_same(upstream, authority, tmp_path):
    async with raw_server(answering(whole(b"ok")), tls=authority.server(tmp_path, name="localhost")) as server:
        with contextlib.suppress(UpstreamUnavailable):
            assert await ask(upstream, f"HTTPS://localhost:{server.port}/v1") == b"ok"
        origin, path = await upstream._origins.of(f"HTTPS://localhost:{server.port}/v1", guarded=False)
        assert (origin.scheme, path) == ("https", "/v1")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/v1", "127.0.0.1/v1", "http:///v1", ""])
async def test_an_address_that_is_none_is_refused(upstream, url):
    with pytest.raises(UpstreamUnavailable):
        await ask(upstream, url)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("sk-alex\r\nhost: elsewhere", "/v1"),
        ("sk-alex\nx: y", "/v1"),
        ("sk-alex\0", "/v1"),
        ("sk-алекс", "/v1"),
        ("sk-alex", "/v1 HTTP/1.1\r\nhost: elsewhere\r\n\r\nGET /"),
        ("sk-alex", "/v1 HTTP/1.1"),
        ("sk-alex", "/v1\n"),
        ("sk-alex", "/v1\t"),
        ("sk-alex", "/v1/é"),
    ],
)
async def test_nothing_that_was_pasted_makes_a_second_header_or_request(upstream, key, path):
    async with raw_server(answering(whole(b"ok"))) as server:
        # The same authority is known and good already.
        await ask(upstream, server.url, provider="custom")
        outgoing = to(f"http://127.0.0.1:{server.port}{path}", key=key)
        with pytest.raises(UpstreamUnavailable) as refused:
            await upstream.send(outgoing, provider="custom")
        assert "sk-" not in str(refused.value)
        assert refused.value.__cause__ is refused.value.__context__ is None
        assert server.conversations == 1
