"""Which endpoint next. `interfaces` holds the contract; each algorithm is a small file of its own."""
