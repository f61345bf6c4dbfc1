"""Tests of edgegw.upstream.balance."""
