"""The SQL of the tool itself, read as package data by bluegreen_etl.queries."""
