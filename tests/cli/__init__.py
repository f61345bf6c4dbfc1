"""Tests of the `edgegw` command."""
