"""Checks of how the tables grow: dead rows, vacuum, retention."""

from __future__ import annotations

from typing import LiteralString

from belfry.doctor.finding import Finding, fail, ok, warn
from belfry.doctor.site import Site

DEAD_SHARE = 0.2
DEAD_ROWS = 10_000
MANY_ROWS = 10_000_000
LATE_DAYS = 1

DEAD: LiteralString = """
    SELECT c.relname::text, s.n_dead_tup, s.n_live_tup, coalesce('autovacuum_enabled=false' = ANY (c.reloptions), false)
    FROM pg_class AS c JOIN pg_stat_all_tables AS s ON s.relid = c.oid
    WHERE c.relnamespace = 'belfry'::regnamespace AND c.relkind = 'r'
    ORDER BY s.n_dead_tup > %s DESC, s.n_dead_tup::float8 / greatest(s.n_dead_tup + s.n_live_tup, 1) DESC
"""


async def vacuum(site: Site) -> Finding:
    """Vacuum keeps up: few of the rows are dead."""
    (on,) = await site.row("SELECT current_setting('autovacuum')::boolean")
    if not on:
        return fail("autovacuum is off: tables and indexes only grow", "ALTER SYSTEM SET autovacuum = on, and reload")
    tables = await site.rows(DEAD, DEAD_ROWS)
    if without := [name for name, _, _, disabled in tables if disabled]:
        return fail(
            f"autovacuum is off for {', '.join(without)}", f"ALTER TABLE belfry.{without[0]} RESET (autovacuum_enabled)"
        )
    name, dead, live, _ = tables[0]
    share = dead / max(1, dead + live)
    if dead > DEAD_ROWS and share > DEAD_SHARE:
        return warn(
            f"{share:.0%} of the rows of belfry.{name} are dead ({dead:,} rows)",
            f"VACUUM (ANALYZE) belfry.{name}; where it comes back: ALTER TABLE belfry.{name} SET "
            "(autovacuum_vacuum_scale_factor = 0.02), and look for long transactions and idle replication slots",
        )
    return ok(f"few dead rows: {share:.0%} at most" if dead > DEAD_ROWS else "few dead rows")


SIZE: LiteralString = """
    SELECT c.reltuples::bigint, pg_size_pretty(
        (SELECT sum(pg_total_relation_size(t.oid)) FROM pg_class AS t
         WHERE t.relnamespace = c.relnamespace AND t.relkind = 'r'))
    FROM pg_class AS c WHERE c.oid = 'belfry.notification'::regclass
"""
OLDEST: LiteralString = """
    SELECT extract(epoch FROM now() - created_at)::float8 / 86400 FROM belfry.notification
    WHERE id > (SELECT pruned FROM belfry.settled) ORDER BY id LIMIT 1
"""


async def retention(site: Site) -> Finding:
    """Old rows leave: BELFRY_RETENTION_DAYS is set, and pruning keeps up."""
    days = site.config.retention_days
    rows, size = await site.row(SIZE)
    much = f"some {rows:,} notifications, {size} in all" if rows >= 0 else f"{size} in all, not analyzed yet"
    if days is None:
        if rows < MANY_ROWS:
            return ok(f"everything is kept: {much}")
        return warn(
            f"everything is kept: {much}",
            "set BELFRY_RETENTION_DAYS for `belfry serve`, or run `belfry prune --older-than 90d` now and then",
        )
    oldest = [age for (age,) in await site.rows(OLDEST)]
    if oldest and oldest[0] > days + LATE_DAYS:
        return warn(
            f"{days} days, and the oldest notification is {oldest[0]:.0f} days old",
            "see that a relay runs with BELFRY_RETENTION_DAYS, its log for prune_failed, and long transactions",
        )
    return ok(f"{days} days: {much}")
