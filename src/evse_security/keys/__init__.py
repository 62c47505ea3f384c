"""Private keys, named by the files that hold them."""
