"""The servers that are no web servers, and what stands behind the web server: python3 servers.py FOLDER ADDRESS..."""

import asyncio
import hashlib
import http.server
import json
import socket
import struct
import sys
import threading
from pathlib import Path

FOLDER = Path(sys.argv[1])


class Api(http.server.BaseHTTPRequestHandler):
    """POST /api/echo tells what came; POST /api/store keeps it too."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        digest, left, first = hashlib.sha256(), length, b""
        while left:
            piece = self.rfile.read(min(left, 1 << 16))
            if not piece:
                return
            digest.update(piece)
            first = first or piece
            left -= len(piece)
        if self.path == "/api/store":
            with (FOLDER / "stored").open("ab") as file:
                file.write(first + b"\n")
        body = json.dumps({"length": length, "sha256": digest.hexdigest(), "first": first[:200].decode("latin-1")})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        """Says nothing: the web server keeps the log."""


def no_linger(writer):
    """Makes the close a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def echo(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def count(reader, writer):
    """Answers only when the client has closed its half."""
    total = 0
    while data := await reader.read(1 << 16):
        total += len(data)
    writer.write(f"{total}\n".encode())
    await writer.drain()
    writer.close()


async def reset(reader, writer):
    await reader.read(1)
    no_linger(writer)
    writer.transport.abort()


async def cut_short(reader, writer):
    """Resets in the middle of what it says."""
    await reader.read(1)
    writer.write(bytes(1 << 20))
    await writer.drain()
    no_linger(writer)
    writer.transport.abort()


async def slow(reader, writer):
    """Reads in small pieces with pauses, so that the sender has to wait."""
    total = 0
    while data := await reader.read(1 << 17):
        total += len(data)
        await asyncio.sleep(0.002)
    writer.write(f"{total}\n".encode())
    await writer.drain()
    writer.close()


async def greet(reader, writer):
    """Speaks first, as mail servers do."""
    writer.write(b"220 hello\r\n")
    await writer.drain()
    line = await reader.readline()
    writer.write(b"250 " + line)
    await writer.drain()
    writer.close()


async def silent(reader, writer):
    await reader.read()
    writer.close()


async def last_words(reader, writer):
    """Closes its half at once and goes on reading; what came is in a file."""
    writer.write(b"bye\n")
    writer.write_eof()
    data = await reader.read()
    with (FOLDER / "last-words").open("ab") as file:
        file.write(data)
    writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


PORTS = {5671: echo, 5672: count, 5673: reset, 5674: slow, 5675: greet, 5676: silent, 5677: last_words, 5678: cut_short, 22: greet}


async def main():
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 9000), Api)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    for port, act in PORTS.items():
        await asyncio.start_server(act, None, port, backlog=4096)
    # One socket for each address, so that an answer comes from where the question went.
    for address in sys.argv[2:]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for port in [443, 5671]:
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.bind((address, port))
            await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, sock=sock)
    ready = socket.socket(socket.AF_UNIX)
    ready.bind(str(FOLDER / "servers.ready"))
    await asyncio.Event().wait()


asyncio.run(main())
