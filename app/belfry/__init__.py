"""Belfry: in-app notifications from the Postgres you already have."""
