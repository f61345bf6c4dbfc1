"""Tests of edgegw.upstream."""
