"""Data files, wherever they are, become bytes for PostgreSQL's COPY; nothing here knows a database.

`discovery` finds the files of each table, `peek` reads their first records, `inference` proposes column types, and
`readers` opens a file as the blocks that COPY reads.
"""
