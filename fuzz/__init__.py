"""Hostile input, for as long as one likes: what reaches code that none reached before is kept, and altered further."""
