"""Tests of edgegw.export."""
