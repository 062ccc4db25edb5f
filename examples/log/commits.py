#!/usr/bin/python3
"""Prints the commits of a store with their bytes, for programs that read the log themselves.

    commits.py STORE [LINEAGE]
    commits.py STORE --value DIGEST

One line a commit, in the order of lineage and number:

    LINEAGE NUMBER POSITION SHA256 BASE64

--value prints the bytes of a stored value, such as the canonical form of a pipeline, or an output
that is too large to stand in its event.

The bytes are asked of the process that owns the store, through its socket (docs/format.md). Where
nobody has the store open, `ratoon --store STORE watch` in another terminal does.
"""

import base64
import hashlib
import os
import socket
import struct
import sys
import uuid

MAGIC = 0x6E6F6F7461720001
VERSION = 4
HELLO, READ, VALUE_GET = 1, 4, 7


def connect(store):
    """A path of any length: the socket is reached through the folder's descriptor."""
    folder = os.open(store, os.O_PATH | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"/proc/self/fd/{folder}/socket")
    except (FileNotFoundError, ConnectionRefusedError):
        sys.exit(f"nobody has the store {store} open; try: ratoon --store {store} watch")
    os.close(folder)
    return connection


def receive(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            sys.exit("the owner of the store is gone")
        data += part
    return data


def ask(connection, operation, fields):
    """Sends one request; the status and the fields of its answer."""
    connection.sendall(struct.pack("<IHHQ", 16 + len(fields), operation, 0, 1) + fields)
    size, _, status, _ = struct.unpack("<IHHQ", receive(connection, 16))
    return status, receive(connection, size - 16)


def greet(store):
    connection = connect(store)
    status, _ = ask(connection, HELLO, struct.pack("<QQ", MAGIC, VERSION))
    if status != 0:
        sys.exit("the owner of the store speaks another version of the protocol")
    return connection


def commits(connection, lineage, one):
    """(lineage, number, position, bytes) of each; the owner answers in pages."""
    number, more = 0, 1
    while more:
        status, answer = ask(
            connection, READ, lineage.bytes + struct.pack("<QQQ", number, int(one), 0)
        )
        if status != 0:
            sys.exit(f"the owner of the store can't read it: status {status}")
        count, more = struct.unpack_from("<QQ", answer)
        at = 16
        for _ in range(count):
            position, number = struct.unpack_from("<QQ", answer, at)
            lineage = uuid.UUID(bytes=answer[at + 16 : at + 32])
            (size,) = struct.unpack_from("<Q", answer, at + 32)
            yield lineage, number, position, answer[at + 40 : at + 40 + size]
            at += 40 + (size + 7) // 8 * 8
        number += 1


def print_value(store, digest):
    status, answer = ask(greet(store), VALUE_GET, bytes.fromhex(digest))
    if status != 0:
        sys.exit(f"the store has no value {digest}")
    (size,) = struct.unpack_from("<Q", answer)
    sys.stdout.buffer.write(answer[8 : 8 + size])


def main():
    if len(sys.argv) == 4 and sys.argv[2] == "--value":
        print_value(sys.argv[1], sys.argv[3])
        return
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.strip())
    connection = greet(sys.argv[1])
    one = len(sys.argv) == 3
    lineage = uuid.UUID(sys.argv[2]) if one else uuid.UUID(int=0)
    for which, number, position, data in commits(connection, lineage, one):
        digest = hashlib.sha256(data).hexdigest()
        print(which, number, position, digest, base64.b64encode(data).decode())


main()
