"""Send blocks to a table by one COPY."""

import contextlib
import os
import select
import socket
from collections.abc import Iterable

from psycopg import sql

from bluegreen_etl import db, errors
from bluegreen_etl.model import Block, CopyOptions, Reader

# https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format": no flags, no extension; and no more tuples.
_BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
BINARY_TRAILER = b"\xff\xff"
# The kernel may hold so much of a connection's data: the server has something to read until this process wakes up.
_SEND_BUFFER = 1 << 20


def copy_blocks(
    connection: db.Connection, table: sql.Identifier, reader: Reader, blocks: Iterable[Block], *, freeze: bool
) -> int:
    """Copy blocks into a table by one COPY; return the number of rows."""
    begun = interrupted = False
    options = reader.copy_options
    with connection.cursor() as cursor:
        with cursor.copy(_statement(table, reader, freeze=freeze)) as copy:
            if options.binary:
                copy.write(_BINARY_HEADER)
            for block in blocks:
                # A message from the server is an error, which COPY reports only at its end.
                if interrupted := bool(select.select([connection.fileno()], [], [], 0)[0]):
                    break
                if options.csv and not begun:
                    # A header, because the server counts the lines inside values only after it has seen a line end.
                    copy.write(_line_end(block.data))
                begun = True
                copy.write(block.data)
            if options.binary:
                copy.write(BINARY_TRAILER)
        if interrupted:  # without an error about a row: only a part was sent, and is rolled back
            raise errors.ServerFailed("the server interrupted COPY", hint="Look at the server's log.")
        return cursor.rowcount


def enlarge_buffer(connection: db.Connection) -> None:
    """Enlarge the buffer of a local socket, which the kernel makes small; those of TCP grow automatically."""
    if connection.info.host.startswith(("/", "@")):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)


def _statement(table: sql.Identifier, reader: Reader, *, freeze: bool) -> sql.Composed:
    options = [*_format(reader.copy_options), *([sql.SQL("FREEZE")] if freeze else [])]
    columns = sql.SQL(", ").join(map(sql.Identifier, reader.columns))
    # A backup names no column of a table that has none, or only generated ones.
    listed = sql.SQL(" ({})").format(columns) if reader.columns else sql.SQL("")
    return sql.SQL("COPY {}{} FROM STDIN ({})").format(table, listed, sql.SQL(", ").join(options))


def _format(options: CopyOptions) -> list[sql.Composable]:
    encoding = sql.SQL("ENCODING {}").format(sql.Literal(options.encoding))
    if options.binary:
        return [sql.SQL("FORMAT binary")]
    if options.text:
        return [sql.SQL("FORMAT text"), encoding]
    return [
        sql.SQL("FORMAT csv, HEADER"),
        sql.SQL("DELIMITER {}").format(sql.Literal(options.delimiter)),
        sql.SQL("QUOTE {}").format(sql.Literal(options.quote)),
        sql.SQL("ESCAPE {}").format(sql.Literal(options.escape)),
        sql.SQL("NULL {}").format(sql.Literal(options.null)),
        encoding,
    ]


def _line_end(records: bytes) -> bytes:
    return b"\r\n" if records.endswith(b"\r\n") else records[-1:]
