"""Environment variables that connect a child process to the database of a connection."""

import re
from urllib.parse import quote, urlencode

from bluegreen_etl import db


def client_environment(connection: db.Connection) -> dict[str, str]:
    """Return libpq's environment variables that connect a child process to the database of `connection`."""
    options = [(option.envvar, option.val) for option in connection.pgconn.info]
    found = {name.decode(): value.decode() for name, value in options if name and value}
    return {name: value for name, value in found.items() if name != "PGAPPNAME"}


def program_environment(connection: db.Connection, *, search_path: str, application: str) -> dict[str, str]:
    """Return the environment that connects any program to the database of `connection`, with this `search_path`.

    libpq and most drivers read the PG* variables, other drivers DATABASE_URL.
    """
    found = client_environment(connection)
    # Without the check, the statement of a killed program runs on. A server on Windows refuses the setting.
    wanted = {
        "search_path": search_path,
        "client_connection_check_interval": db.setting(connection, "client_connection_check_interval"),
    }
    settings = [f"-c {name}=" + re.sub(r"([\\\s])", r"\\\1", value) for name, value in wanted.items() if value != "0"]
    options = " ".join(filter(None, [found.get("PGOPTIONS"), *settings]))
    found |= {"PGOPTIONS": options, "PGAPPNAME": application}
    return {**found, "DATABASE_URL": _url(connection, options=options)}


def _url(connection: db.Connection, *, options: str) -> str:
    """Return the connection's address as a URL that drivers without libpq understand too."""
    info = connection.info
    known = {
        *db.CONNECTION_DEFAULTS,
        "application_name",
        "client_encoding",
        "options",
        "user",
        "dbname",
        "host",
        "port",
    }
    query = {key: value for key, value in info.get_parameters().items() if key not in known}
    login = quote(info.user, safe="") + (f":{quote(info.password, safe='')}" if info.password else "")
    if info.host.startswith(("/", "@")):  # a URL can name a socket directory in its query only
        query |= {"host": info.host, "port": str(info.port)}
        place = ""
    else:
        place = (f"[{info.host}]" if ":" in info.host else info.host) + f":{info.port}"
    encoded = urlencode({**query, "options": options}, quote_via=quote)
    return f"postgresql://{login}@{place}/{quote(info.dbname, safe='')}?{encoded}"
