"""The tests, in rings: unit, integration, concurrency, acceptance; README.md says what each proves."""
