"""Tests of the codecs; `tables` holds the trust tables as data."""
