"""Makes a shadow schema: structure, bulk copy, and what comes after COPY."""
