"""Read CSV and TSV: split the bytes of the file between records; COPY parses them."""
