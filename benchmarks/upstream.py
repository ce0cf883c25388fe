"""A provider for benchmarks: canned answers, as cheap as a Python server can be, on loopback.

    python benchmarks/upstream.py PORT

Answers every POST with a chat completion, or with a stream of 50 chunks where the body asks for one.
"""

import asyncio
import json
import sys

import uvloop

USAGE = {"prompt_tokens": 24, "completion_tokens": 50, "total_tokens": 74}
HEAD = {"id": "chatcmpl-1", "created": 1_770_000_000, "model": "gpt-4o-mini-2024-07-18"}


def _completion() -> bytes:
    message = {"role": "assistant", "content": "hello " * 50}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-ratelimit-remaining-requests: 9999\r\n"
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


def _chunk(data: bytes) -> bytes:
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(event), event)


def _events() -> list[bytes]:
    def chunk(**more: object) -> bytes:
        return _chunk(json.dumps({**HEAD, "object": "chat.completion.chunk", **more}).encode())

    text = chunk(choices=[{"index": 0, "delta": {"content": "hello "}, "finish_reason": None}], usage=None)
    stop = chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=None)
    return [text] * 50 + [stop, chunk(choices=[], usage=USAGE), _chunk(b"[DONE]") + b"0\r\n\r\n"]


COMPLETION = _completion()
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENTS = _events()


class Provider(asyncio.Protocol):
    """One connection, kept alive, one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        head_end = self._held.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._held[:head_end].lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(self._held) < head_end + 4 + length:
            return
        body, self._held = self._held[head_end + 4 : head_end + 4 + length], b""
        if b'"stream":true' in body.replace(b" ", b""):
            self._transport.write(STREAM_HEAD)  # type: ignore[attr-defined]
            self._stream(0)
        else:
            self._transport.write(COMPLETION)  # type: ignore[attr-defined]

    def _stream(self, position: int) -> None:
        # One event a turn of the loop, so that they travel, and must be relayed, one by one.
        if self._transport.is_closing() or position == len(EVENTS):
            return
        self._transport.write(EVENTS[position])  # type: ignore[attr-defined]
        asyncio.get_running_loop().call_later(0.002, self._stream, position + 1)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
