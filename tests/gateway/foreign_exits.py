"""A module that ends the process on import, as a script without a guard does."""

raise SystemExit("usage: ...")
