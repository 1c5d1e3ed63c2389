"""The commands of `belfry`, one module each; `belfry.__main__` joins them."""
