"""Checks of this machine and its settings; they need no database."""

from __future__ import annotations

from belfry import errors
from belfry.config import Config
from belfry.doctor.finding import Finding, ok, refused, skipped, warn

SPARE_DESCRIPTORS = 64


def settings(config: Config) -> Finding:
    """There is a key to check tokens with."""
    try:
        config.require_key()
    except errors.SecretMissing as error:
        found = refused(error)
        return warn(found.seen + " here: `belfry serve` would not start", found.advice)
    return ok("a key to check tokens with")


def descriptors(config: Config) -> Finding:
    """The limit of open files is above BELFRY_MAX_STREAMS: each stream is one."""
    try:
        import resource
    except ImportError:  # not every system has it
        return skipped("this system does not tell its limit")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.max_streams + SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return ok(f"{soft if soft != resource.RLIM_INFINITY else 'without limit'} for {config.max_streams} streams")
    return warn(
        f"{soft} open files in this shell, for {config.max_streams} streams a worker",
        f"LimitNOFILE={wanted} in the unit of `belfry serve`, `ulimit -n {wanted}` in a shell, or a smaller "
        "BELFRY_MAX_STREAMS",
    )


CHECKS = (settings, descriptors)
