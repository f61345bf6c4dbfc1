"""Tests of `edgegw.net`."""
