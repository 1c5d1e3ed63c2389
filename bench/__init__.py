"""Load tools and the oracle that judges them: see README.md beside this file."""
