"""Make a shadow schema: structure, bulk copy, and what is built after COPY."""
