"""Tests of edgegw.middleware."""
