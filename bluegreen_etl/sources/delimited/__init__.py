"""CSV and TSV: the file's own bytes, cut where records end; COPY parses them."""
