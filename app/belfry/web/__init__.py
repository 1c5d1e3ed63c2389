"""Thin handlers, blind to each other: each turns a request into a call of what lies below."""
