"""Tests of edgegw.upstream.health."""
