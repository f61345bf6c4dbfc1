"""Tests of the harness itself: `python -m twisted.trial benchmarks.tests`. They start nothing and need no peer."""
