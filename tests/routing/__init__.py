"""Tests of edgegw.routing."""
