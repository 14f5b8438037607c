"""Find and run the checks of a release; each is a SELECT of offending rows.

A file is what dbt calls a singular test, a declared check what it calls a generic one.
"""
