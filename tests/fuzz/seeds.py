#!/usr/bin/python3
"""Writes first inputs for the fuzz targets whose inputs nothing else makes: FOLDER/TARGET/NAME.

    tests/fuzz/seeds.py FOLDER
    build/fuzz/tests/fuzz/TARGET_fuzz -merge=1 tests/fuzz/corpus/TARGET FOLDER/TARGET
"""
import os
import sys


def words(*line):
    return b"".join(w.encode("utf-8", "surrogateescape") + b"\0" for w in line)


def options():
    yield words()
    yield words("--version")
    yield words("--help")
    yield words("run", "--help")
    yield words("run", "p.yaml", "-p", "a=1", "--param=b=x=y", "--jobs", "4", "--until=b", "-j4")
    yield words("run", "p.yaml", "--label", "a=b", "--label", "a=c", "--target", "7", "--force")
    yield words("--store", "s", "--json", "--wait", "1m30s", "list", "--since", "2026-02-28", "-n", "5")
    yield words("--color=never", "-q", "list", "--status", "failed", "--status", "running")
    yield words("retry", "@last", "--from", "b", "--items", "failed", "--item", "k", "--edit", "a=1")
    yield words("retry", "abcd", "--partial", "include", "--auto-retry", "3", "--plan", "T", "--dry-run")
    yield words("wait", "@subject:x:ok", "--timeout", "2h")
    yield words("shell", "r", "a", "--", "ls", "-l", "--json")
    yield words("prune", "--older-than", "90d", "--dry-run", "--yes")
    yield words("lsit")
    yield words("list", "--limt", "5")
    yield words("list", "--limit")
    yield words("list", "--json=yes")
    yield words("list", "--store", "a", "--store", "b")
    yield words("run", "\x1b[31m", "\u202e", "\udcff")
    yield words("-x")
    yield words("run", "-p", "=1")
    for text in ("7", "0", "1h30m", "500ms", "2.5s", "1w", "9999999999999999999d", "1.2.3s", "5.",
                 "2026-01-01", "2026-02-29", "2024-02-29", "1969-12-31", "9999-12-31",
                 "2026-01-01T00:00:00Z", "2026-01-01T23:59:60.5+05:30", "1970-01-01T00:00:00+01:00",
                 "2026-01-01 12:00:00.123456789z", "2h ago", "2h ago ago", "18446744073709551616"):
        yield words("list", "--since", text)


def stage():
    outputs = [
        b"", b"\n \n", b' {"a": 1, "b": [ 1 ]}\n', b'{"a":1,"a":2}', b"a=1\nb=x=y\nc=",
        b"a<<E\none\ntwo\nE\nb=1", b"a<<E\n\nE", b"a=<<b", b'a="q"\t\x01', b"[1]", b'{"a":1',
        b"=1", b"a<<E\nx\n", b"a=\xff", b"\xff=a", b'{"":1}', b'{"a\\u0000":1}', b"a=hunter2",
        b'{"a":{"b":["h\\u0075nter2"]}}', b"k" * 300 + b"=1", b'{"f":{"file":"f"}}',
        b'{"f":{"file":"","size":1}}', b'{"a":"\\ud83d\\ude00\\u00e9"}', b"a=1\r\nb=2\r\n",
    ]
    events = [
        b'{"progress":{"done":3,"total":9,"message":"m"}}\n', b'{"item":"k","status":"done"}\n',
        b'{"item":"k","status":"failed","error":"e"}\n{"item":"l","status":"committed","output":{"a":1}}',
        b'{"degraded":"why"}\n', b'{"output":{"a":1}}\n', b'{"consumes":"r"}\n{"external_ref":"x"}\n',
        b'{"nothing":1}\n', b'{"item":"","status":"done"}\n', b'{"a":1,"b":2}\n', b"hunter2\n{}\n[]\n",
        b'{"progress":{"done":-1,"total":1e30}}\n', b'{"progress":{"message":null}}\r\n\t\n',
        b'{"item":"' + b"k" * 4097 + b'","status":"done"}\n',
    ]
    items = [
        b"[]", b'["a","b"]', b'[{"key":"a","x":1},"b"]', b'["a","a"]', b'[{"k":1}]', b'[""]', b"[1]",
        b'{"a":1}', b'[{"key":"a","a":1,"b":[2]},{"key":"b","a":{"file":"f","sha256":"","size":1}}]',
        b'["' + b"\xc3\xa9" * 2100 + b'"]', b'["' + b"\xc3\xa9" * 150 + b'","' + b"\xc3\xa9" * 150 + b'"]',
        b'["x' + b"\xc3\xa9" * 150 + b'","x' + b"\xc3\xa9" * 150 + b'"]',
    ]
    json = [
        b"0", b"-0", b"1.5e-3", b"01", b"1.", b"tru", b"true", b"null", b'"\\u12"', b'"\\ud800"',
        b'"\\ud83d\\ude00"', b'"\xed\xa0\x80"', b'"\xf4\x8f\xbf\xbf"', b"[" * 513 + b"]" * 513,
        b'[[[{"a":[{}]}]]]', b' { "a" : [ 1 , 2 ] , "b" : "c" } ', b'{"a" 1}', b"[1,]", b"1e400", b'"\x01"',
        b'"\\x"', b"[1 2]",
    ]
    masks = [
        b"", b"hunter2", b"xhunter2x", b"hunterhunter2", b"aaaaaaaaa", b"ababab", b"aab",
        b'"h\\u0075nter2"', b"s\\u00e9same", b"s\xc3\xa9sam", b'a\\"b\\\\c\\/d', b'a"b\\c/d',
    ]
    for kind, inputs in enumerate((outputs, events, items, json, masks)):
        for data in inputs:
            # Events and texts to be masked come in pieces: of 4 bytes and whole.
            for step in ((b"\x03", b"\xff") if kind in (1, 4) else (b"",)):
                yield bytes([kind]) + step + data


def keys():
    def row(status, created, run, subject, pipeline):
        return (bytes([status]) + created.to_bytes(8, "big") + run * 16 + b"\1" * 16 + b"\2" * 16
                + subject + b"\0" + pipeline + b"\0")

    def stored(status, subject, pipeline):
        return (b"\1" * 16 + (7).to_bytes(8, "big") + b"\2" * 16 + bytes([status])
                + subject + b"\0" + pipeline + b"\0")

    one = row(0, 7, b"\x11", b"s", b"p")
    for shared in (0, 1, 3, 7, 8, 10, 14, 16, 31):
        yield bytes([shared]) + one + row(3, 9, b"\x10", b"sa", b"") + stored(1, b"s", b"p")
    yield b"\0" + one + row(7, 0, b"\0", b"", b"p") + stored(0, b"", b"")
    yield b"\0" + one + row(7, 2**64 - 1, b"\xff", b"s\xff", b"pp") + stored(8, b"", b"x")
    yield b"\0" + one + one + stored(9, b"", b"x")
    yield b"\0" + one + one + stored(0x80, b"a", b"x")[:-1]
    yield b"\0" + one + one + stored(3, b"a\0b", b"x")


def session():
    ops = range(16)
    # The owner's end: the first byte, whether each client greets, steps.
    for op in ops:
        yield b"\0\1\1" + b"".join(bytes([0, 7, 1, 0x10 + i, 0, 7, op, i]) for i in range(4))
    yield b"\0\1\1" + b"".join(bytes([i % 2, 7, op, 37 * op % 256]) for i, op in enumerate(ops))
    yield b"\0\0\1" + bytes([0, 7, 2, 1, 1, 7, 2, 1])
    yield b"\0\1\1" + bytes([0, 2, 1, 7, 4, 0x40, 1, 7, 1, 0x12, 1, 0, 20]) + b"x" * 20
    # A client's end: how many bytes say what it does, those, how the owner answers.
    for op in ops:
        does = b"".join(bytes([1, 0x10 + i, op, 0x11 * i]) for i in range(4))
        yield bytes([1, len(does)]) + does
        for bent in range(8):
            yield bytes([1, len(does)]) + does + bytes([1, 1, 1, 0, bent, 16, 1, 9, 8, 7, 0, bent])


def seal():
    def text(leaves, time="2026-11-21T09:17:20.123456Z", position="7", end="\n"):
        first = ["ratoon seal 1", f"time {time}", f"position {position}", f"lineages {len(leaves)}"]
        first += ["root " + "e3" * 32, "key " + "66" * 32, "store-format 1", "writer ratoon 0.1", ""]
        return "".join(line + end for line in first + leaves).encode()

    def leaf(number, commit="6"):
        return f"01a1fd65-5a54-7317-9136-{number:012x} {commit} " + "62" * 32

    for count in (0, 1, 2, 3, 4, 5, 7, 8, 16, 33):
        yield text([leaf(i) for i in range(count)])
    yield text([leaf(2), leaf(1)])
    yield text([leaf(1), leaf(1)])
    for commit in ("0", "06", "-1", "9223372036854775807", "9999999999999999999", "18446744073709551616"):
        yield text([leaf(1, commit)])
        yield text([leaf(1)], position=commit)
    yield text([leaf(1).upper()])
    yield text([leaf(1)])[:-1]
    yield text([leaf(1)], end="\r\n")
    for time in ("", "x" * 70, "\x1b[2J", "2026-11-21 09:17:20.123456Z", "\u00e9"):
        yield text([leaf(1)], time=time)
    yield text([leaf(1)]).replace(b"time 2026", b"time \xff026")
    yield text([leaf(1)]).replace(b"seal 1", b"seal 2")


def main():
    for target in (options, stage, keys, session, seal):
        folder = os.path.join(sys.argv[1], target.__name__)
        os.makedirs(folder, exist_ok=True)
        for number, data in enumerate(target()):
            with open(os.path.join(folder, f"seed-{number:03}"), "wb") as f:
                f.write(data)


main()
