"""The store: a directory of certificates, looked at as a frozen picture and changed by lists of changes."""
