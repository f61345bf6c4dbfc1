"""Tests of edgegw.exchange."""
