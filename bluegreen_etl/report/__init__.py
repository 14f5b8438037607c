"""Shows what commands return: as a table for people, or as one JSON object. The only writer of stdout."""
