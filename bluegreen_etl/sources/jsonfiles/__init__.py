"""JSON and NDJSON: each object becomes one CSV record for COPY."""
