"""Read Parquet files and Arrow data in memory: each batch becomes COPY data, binary or text."""
