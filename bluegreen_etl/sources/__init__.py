"""Read data files from any place and convert them to bytes for PostgreSQL's COPY; nothing here uses a database.

`discovery` finds the files of each table, `peek` reads a sample of them, `inference` proposes column types, and
`readers` opens a file as the blocks that COPY reads.
"""
