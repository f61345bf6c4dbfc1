"""Tests of edgegw.observe."""
